"""Headers on their way through the outbox, and of strangers."""

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.headers import headers_to_json, headers_to_text, text_to_headers

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(_TEXT, _TEXT))
def test_headers_come_back_as_they_were(headers: dict[str, str]) -> None:
    pairs = [(name, value.encode()) for name, value in headers.items()]
    assert text_to_headers(headers_to_text(pairs)) == pairs


@given(st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_whatever_a_stranger_wrote_can_be_kept(headers: list[tuple[str, bytes | None]]) -> None:
    kept = headers_to_json(headers)
    assert len(kept) == len(headers)
    for (_, value), (name, text) in zip(headers, kept, strict=True):
        assert name is not None
        assert "\x00" not in name + (text or "")
        (name + (text or "")).encode()
        assert (text is None) == (value is None)
