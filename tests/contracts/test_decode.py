"""What a stranger may write: decode tells each kind of poison by its code, raises nothing else, and tolerates what is new."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import example as given_example
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import HEADER_BYTES_MAX, HEADERS_MAX, JSON_DEPTH_MAX, Event, Undecodable, decode, encode
from shared.contracts.facts import ImageRegistered
from shared.contracts.image_events import ImageChange, ImagePublished, RequestRefused
from shared.contracts.registry import REGISTRY
from shared.contracts.requests import PublishRequested
from shared.contracts.topics import EVENT_BYTES_MAX, TOPICS
from tests.contracts import golden
from tests.contracts.examples import APPENDED_MS, BY_MODEL, EXAMPLES, IMAGE, NOON, Example

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Raw:
    """A record as the broker gives it."""

    topic: str
    key: bytes | None
    headers: Headers
    value: bytes | None
    timestamp_ms: int = APPENDED_MS

    def decoded(self) -> Event[Any]:
        return decode(self.topic, self.key, self.headers, self.value, self.timestamp_ms)


def raw(example: Example) -> Raw:
    headers, value = example.encoded()
    return Raw(example.event_type.topic, example.key.encode(), list(headers), value)


FACT = raw(BY_MODEL[ImageRegistered])
REQUEST = raw(BY_MODEL[PublishRequested])
VALUE: bytes = FACT.value or b""


def body(**changed: Any) -> Raw:
    """The fact with other fields."""
    return replace(FACT, value=json.dumps({**json.loads(VALUE), **changed}).encode())


def more(text: bytes) -> Raw:
    """The fact with JSON text at its end: a repeated name there takes the place of the first."""
    return replace(FACT, value=VALUE[:-1] + b"," + text + b"}")


def header(name: str, value: bytes | None, record: Raw = FACT) -> Raw:
    return replace(record, headers=[(other, value if other == name else old) for other, old in record.headers])


def without(name: str, record: Raw = FACT) -> Raw:
    return replace(record, headers=[pair for pair in record.headers if pair[0] != name])


def added(*headers: tuple[str, bytes | None]) -> Raw:
    return replace(FACT, headers=[*FACT.headers, *headers])


def fields(*names: str) -> Raw:
    """The fact without the fields named."""
    return replace(FACT, value=json.dumps({k: v for k, v in json.loads(VALUE).items() if k not in names}).encode())


REQUIRED_HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type", "ce_sequence")

POISON: dict[str, tuple[Raw, str]] = {
    # The value.
    "no value": (replace(FACT, value=None), "value_missing"),
    "empty": (replace(FACT, value=b""), "json_invalid"),
    "not JSON": (replace(FACT, value=b"<image/>"), "json_invalid"),
    "cut short": (replace(FACT, value=VALUE[:-1]), "json_invalid"),
    "text after the end": (replace(FACT, value=VALUE + b"x"), "json_invalid"),
    "byte order mark": (replace(FACT, value=b"\xef\xbb\xbf" + VALUE), "json_invalid"),
    "not UTF-8": (more(b'"name":"\xff"'), "json_invalid"),
    "lone surrogate": (more(b'"name":"\\ud800"'), "json_invalid"),
    "lone surrogate where nothing is read": (more(b'"novelty":"\\ud800"'), "json_invalid"),
    "array": (replace(FACT, value=b"[]"), "body_invalid"),
    "null": (replace(FACT, value=b"null"), "body_invalid"),
    "text": (replace(FACT, value=b'"x"'), "body_invalid"),
    "no fields": (replace(FACT, value=b"{}"), "body_invalid"),
    "a field missing": (fields("owner_account_id"), "body_invalid"),
    "a field null": (body(name=None), "body_invalid"),
    "over the limit by a byte": (replace(FACT, value=VALUE.ljust(EVENT_BYTES_MAX + 1)), "value_too_large"),
    "nested too deep by one": (more(b'"x":' + b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX), "json_too_deep"),
    "nested without end": (replace(FACT, value=b"[" * EVENT_BYTES_MAX), "json_too_deep"),
    "objects without end": (replace(FACT, value=b'{"a":' * 10_000), "json_too_deep"),
    # Fields of the wrong type or out of bounds.
    "number for text": (body(name=1), "body_invalid"),
    "text for a boolean": (body(encrypted="false"), "body_invalid"),
    "number for a boolean": (body(encrypted=0), "body_invalid"),
    "text for a number": (body(size_bytes="1"), "body_invalid"),
    "boolean for a number": (body(size_bytes=True), "body_invalid"),
    "fraction for a number": (body(size_bytes=1.0), "body_invalid"),
    "below zero": (body(size_bytes=-1), "body_invalid"),
    "past the bound": (body(size_bytes=2**62 + 1), "body_invalid"),
    "huge number": (more(b'"size_bytes":' + b"9" * 400), "body_invalid"),
    "number longer than any": (more(b'"size_bytes":' + b"9" * 5000), "json_invalid"),
    "number beyond floats": (more(b'"size_bytes":1e400'), "body_invalid"),
    "NaN": (more(b'"size_bytes":NaN'), "body_invalid"),
    "infinity": (more(b'"size_bytes":-Infinity'), "body_invalid"),
    "object for a list": (body(shared_with={}), "body_invalid"),
    "list too long": (body(shared_with=["a"] * 51), "body_invalid"),
    "text too long": (body(description="x" * 2049), "body_invalid"),
    "word that is none of the list": (body(status="available"), "body_invalid"),
    "NUL in text": (body(name="a\x00b"), "body_invalid"),
    "NUL in an id": (body(image_id=f"{IMAGE}\x00"), "body_invalid"),
    "line feed after an id": (body(image_id=f"{IMAGE}\n"), "body_invalid"),
    "id too long": (body(owner_account_id="a" * 65), "body_invalid"),
    "money as a number": (body(root_product={"id": "p", "fee": {"amount": 0.5, "currency": "EUR"}}), "body_invalid"),
    "time as a number": (body(created_at=1_700_000_000), "body_invalid"),
    "time as a number's text": (body(created_at="1700000000"), "body_invalid"),
    "time without an offset": (body(created_at="2026-01-01T00:00:00"), "body_invalid"),
    "day alone": (body(created_at="2026-01-01"), "body_invalid"),
    "day that never was": (body(created_at="2026-02-30T00:00:00Z"), "body_invalid"),
    "before all time in UTC": (body(created_at="0001-01-01T00:00:00+14:00"), "body_invalid"),
    "after all time in UTC": (body(created_at="9999-12-31T23:59:59-14:00"), "body_invalid"),
    # The key.
    "no key": (replace(FACT, key=None), "key_wrong"),
    "empty key": (replace(FACT, key=b""), "key_wrong"),
    "key of another": (replace(FACT, key=b"img-other"), "key_wrong"),
    "key that is no text": (replace(FACT, key=b"\xff\xfe"), "key_wrong"),
    "subject of another": (header("ce_subject", b"img-other"), "key_wrong"),
    "key and subject of another": (replace(header("ce_subject", b"img-other"), key=b"img-other"), "key_wrong"),
    "body of another": (body(image_id="img-other"), "key_wrong"),
    "body of another by a repeated name": (more(b'"image_id":"img-other"'), "key_wrong"),
    # The headers.
    **{f"{name} missing": (without(name), "header_missing") for name in REQUIRED_HEADERS},
    **{f"{name} None": (header(name, None), "header_unreadable") for name in REQUIRED_HEADERS},
    **{f"{name} not UTF-8": (header(name, b"\xff\xfe"), "header_unreadable") for name in REQUIRED_HEADERS},
    **{f"{name} with NUL": (header(name, b"1\x00"), "header_unreadable") for name in REQUIRED_HEADERS},
    **{f"{name} twice": (added((name, dict(FACT.headers)[name])), "header_repeated") for name in REQUIRED_HEADERS},
    **{f"{name} too large": (header(name, b"1" * (HEADER_BYTES_MAX + 1)), "header_too_large") for name in REQUIRED_HEADERS},
    **{f"{name} empty": (header(name, b""), "header_missing") for name in REQUIRED_HEADERS if name != "ce_sequence"},
    "ce_sequence empty": (header("ce_sequence", b""), "sequence_invalid"),
    "no headers": (replace(FACT, headers=[]), "header_missing"),
    "too many headers": (added(*[("x", b"")] * (HEADERS_MAX + 1 - len(FACT.headers))), "headers_too_many"),
    "an extension not UTF-8": (added(("ce_novelty", b"\xff")), "header_unreadable"),
    "traceparent not UTF-8": (header("traceparent", b"\xff"), "header_unreadable"),
    "names in capitals": (replace(FACT, headers=[(n.upper(), v) for n, v in FACT.headers]), "header_missing"),
    "CloudEvents 0.3": (header("ce_specversion", b"0.3"), "specversion_unknown"),
    "content-type of text": (header("content-type", b"text/plain"), "content_type_unknown"),
    "content-type of structured mode": (header("content-type", b"application/cloudevents+json"), "content_type_unknown"),
    "id too long by one": (header("ce_id", b"i" * 257), "identity_too_long"),
    "source too long by one": (header("ce_source", b"s" * 257), "identity_too_long"),
    "type unknown": (header("ce_type", b"org.imagecommons.image.dreamt.v1"), "type_unknown"),
    "version unknown": (header("ce_type", b"org.imagecommons.image.registered.v2"), "type_unknown"),
    "type of another topic": (header("ce_type", b"org.imagecommons.account.stated.v1"), "type_unknown"),
    "topic unknown": (replace(FACT, topic="image-rumours"), "type_unknown"),
    "time that is none": (header("ce_time", b"yesterday"), "time_invalid"),
    "time with no offset": (header("ce_time", b"2026-01-01T00:00:00"), "time_invalid"),
    "leap second": (header("ce_time", b"2026-12-31T23:59:60Z"), "time_invalid"),
    "header time before all time": (header("ce_time", b"0001-01-01T00:00:00+14:00"), "time_invalid"),
    **{
        f"ce_sequence {text!r}": (header("ce_sequence", text.encode()), "sequence_invalid")
        for text in ("0", "-1", "+1", "01", "1.0", "1e3", " 1", "1\n", "x", "\u0661", str(2**63), "9" * 400)
    },
    "sequence of a request, unreadable": (
        replace(REQUEST, headers=[*REQUEST.headers, ("ce_sequence", b"x")]),
        "sequence_invalid",
    ),
}

TOLERATED: dict[str, Raw] = {
    "unknown field": body(novelty={"deep": [1, None, "x"]}),
    "unknown field as deep as may be": more(b'"x":' + b"[" * (JSON_DEPTH_MAX - 1) + b"]" * (JSON_DEPTH_MAX - 1)),
    "brackets within text": more(b'"x":"' + b'[{\\"' * 100 + b'"'),
    "unknown field that holds NUL": body(novelty="a\x00b"),
    "an optional field null": more(b'"description":null'),
    "as large as may be": replace(FACT, value=VALUE.ljust(EVENT_BYTES_MAX)),
    "unknown extension": added(("ce_novelty", b"x")),
    "a stranger's headers, twice, unreadable, None": added(("x", b"\xff"), ("x", None), ("", b"\x00")),
    "as many headers as may be": added(*[("x", b"")] * (HEADERS_MAX - len(FACT.headers))),
    "charset": header("content-type", b"Application/JSON; charset=utf-8"),
    "no trace": without("traceparent"),
    "identity as long as may be": header("ce_id", b"i" * 256),
    "time in small letters": header("ce_time", b"2026-01-01t00:00:00.123456789z"),
    "highest sequence": header("ce_sequence", str(2**63 - 1).encode()),
    "timestamp of the far future": replace(FACT, timestamp_ms=2**63 - 1),
    "timestamp unknown": replace(FACT, timestamp_ms=-1),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_refused_by_its_code(kind: str) -> None:
    record, code = POISON[kind]
    with pytest.raises(Undecodable) as refused:
        record.decoded()
    assert refused.value.reason_code == code
    assert 0 < len(refused.value.text) <= 2000


@pytest.mark.parametrize("kind", TOLERATED)
def test_what_is_new_or_strange_and_harmless_is_tolerated(kind: str) -> None:
    event = TOLERATED[kind].decoded()
    assert (event.subject, event.data.image_id) == (IMAGE, IMAGE)


@pytest.mark.parametrize("example", EXAMPLES, ids=golden.name_of)
def test_unknown_fields_are_never_written(example: Example) -> None:
    def strewn(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: strewn(value) for name, value in part.items()} | ({} if free(part) else {"novelty": {"x": 1}})
        return [strewn(value) for value in part] if isinstance(part, list) else part

    def free(part: dict[str, Any]) -> bool:
        return set(part) == {"platform", "os_version"}  # tags: any name is one of its own

    record = raw(example)
    event = replace(record, value=json.dumps(strewn(json.loads(record.value or b""))).encode()).decoded()
    assert event == example.event
    _, value = encode(event.data, id="1", source="/s", subject=event.subject, time=event.time)
    assert value == record.value


def test_a_refusal_names_what_could_be_read_of_the_identity() -> None:
    with pytest.raises(Undecodable) as refused:
        header("ce_time", b"\xff").decoded()
    error, fact = refused.value, FACT.decoded()
    assert (error.id, error.source, error.type) == (fact.id, fact.source, fact.type)
    assert (error.sequence, error.key) == (7, IMAGE)


def test_a_refusal_names_no_identity_that_it_could_not_read() -> None:
    broken = header("ce_id", b"\xff", header("ce_source", b"s" * 257, header("ce_sequence", b"0")))
    with pytest.raises(Undecodable) as refused:
        replace(broken, key=b"not/an id").decoded()
    error = refused.value
    assert (error.id, error.source, error.sequence, error.key) == (None, None, None, None)


def test_a_refusal_counts_the_errors_it_does_not_show() -> None:
    with pytest.raises(Undecodable, match=r"; and 4 more$"):
        replace(FACT, value=b"{}").decoded()


def test_no_state_is_written_and_read_as_null() -> None:
    refusal = RequestRefused(state=None, change=ImageChange(message="refused"))
    headers, value = encode(refusal, id="1", source="/s", subject=IMAGE, time=NOON, sequence=1)
    assert json.loads(value) == {
        "state": None,
        "change": {"message": "refused", "warnings": [], "problems": [], "retryable": False},
    }
    assert decode("image-events", IMAGE.encode(), headers, value, 0).data == refusal
    stateless = value.replace(b'"state":null,', b"")
    with pytest.raises(Undecodable, match="state: Field required"):
        decode("image-events", IMAGE.encode(), headers, stateless, 0)


def test_a_state_of_another_image_is_no_news_of_this_one() -> None:
    record = raw(BY_MODEL[ImagePublished])
    with pytest.raises(Undecodable) as refused:
        replace(header("ce_subject", b"img-other", record), key=b"img-other").decoded()
    assert refused.value.reason_code == "key_wrong"


def test_a_key_without_state_is_the_form_of_an_id() -> None:
    refusal = RequestRefused(state=None, change=ImageChange(message="refused"))
    headers, value = encode(refusal, id="1", source="/s", subject="not/an id", time=NOON, sequence=1)
    with pytest.raises(Undecodable) as refused:
        decode("image-events", b"not/an id", headers, value, 0)
    assert refused.value.reason_code == "key_wrong"


def test_what_is_too_large_is_not_encoded() -> None:
    refusal = RequestRefused.model_construct(state=None, change=ImageChange.model_construct(message="x" * EVENT_BYTES_MAX))
    with pytest.raises(ValueError, match="65536 at most"):
        encode(refusal, id="1", source="/s", subject=IMAGE, time=NOON)


NAMES = st.sampled_from([*REQUIRED_HEADERS, "ce_correlationid", "traceparent", "ce_x", "x"]) | st.text(max_size=20)
HEADER_VALUES = (
    st.none()
    | st.binary(max_size=40)
    | st.text(max_size=40).map(lambda text: text.encode())
    | st.sampled_from([value for _, value in FACT.headers])
    | st.datetimes().map(lambda time: f"{time.isoformat()}Z".encode())
    | st.integers().map(lambda number: str(number).encode())
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=15,
)
TIMESTAMPS = st.integers(-(2**63), 2**63 - 1)


def never_but_undecodable(record: Raw) -> None:
    """Decode; whatever is an event can be written again."""
    try:
        event = record.decoded()
    except Undecodable as refused:
        told = refused
    else:
        assert record.key == event.subject.encode()
        encode(event.data, id=event.id, source=event.source, subject=event.subject, time=event.time, sequence=event.sequence)
        return
    assert told.reason_code
    assert told.id is None or 0 < len(told.id) <= 256
    assert told.text.encode()


@given(
    topic=st.sampled_from(sorted(TOPICS)) | st.text(max_size=20),
    key=st.none() | st.binary(max_size=70) | st.just(IMAGE.encode()),
    headers=st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=HEADERS_MAX + 2),
    value=st.none() | st.binary(max_size=300) | JSON_VALUES.map(lambda found: json.dumps(found).encode()),
    timestamp_ms=TIMESTAMPS,
)
@given_example(topic="image-facts", key=None, headers=[], value=None, timestamp_ms=2**63 - 1)
@settings(max_examples=300, deadline=None)
def test_anything_at_all_is_an_event_or_undecodable(
    topic: str, key: bytes | None, headers: Headers, value: bytes | None, timestamp_ms: int
) -> None:
    never_but_undecodable(Raw(topic, key, headers, value, timestamp_ms))


@given(example=st.sampled_from(EXAMPLES), data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_event_with_parts_replaced_is_an_event_or_undecodable(example: Example, data: st.DataObject) -> None:
    record = raw(example)
    found = json.loads(record.value or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        holder = found
        while True:
            step = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            if not (isinstance(holder[step], dict | list) and holder[step] and data.draw(st.booleans())):
                break
            holder = holder[step]
        holder[step] = data.draw(JSON_VALUES | st.datetimes().map(lambda time: f"{time.isoformat()}+14:00"))
    headers = [(name, data.draw(st.just(value) | HEADER_VALUES)) for name, value in record.headers]
    never_but_undecodable(replace(record, value=json.dumps(found).encode()))
    never_but_undecodable(replace(record, headers=headers, timestamp_ms=data.draw(TIMESTAMPS)))


@given(example=st.sampled_from(EXAMPLES), place=st.floats(0, 1), piece=st.binary(min_size=0, max_size=8), cut=st.integers(0, 8))
@settings(max_examples=300, deadline=None)
def test_an_event_with_bytes_replaced_is_an_event_or_undecodable(example: Example, place: float, piece: bytes, cut: int) -> None:
    record = raw(example)
    value = record.value or b""
    at = int(place * len(value))
    never_but_undecodable(replace(record, value=value[:at] + piece + value[at + cut :]))


def test_the_examples_reach_every_topic_and_the_table_every_code() -> None:
    assert {example.event_type.topic for example in EXAMPLES} == {topic for topic, _ in REGISTRY}
    codes = {code for _, code in POISON.values()}
    assert codes == {
        "body_invalid",
        "content_type_unknown",
        "header_missing",
        "header_repeated",
        "header_too_large",
        "header_unreadable",
        "headers_too_many",
        "identity_too_long",
        "json_invalid",
        "json_too_deep",
        "key_wrong",
        "sequence_invalid",
        "specversion_unknown",
        "time_invalid",
        "type_unknown",
        "value_missing",
        "value_too_large",
    }
