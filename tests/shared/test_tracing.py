"""Trace context: one trace from a request to its last effect."""

import re

import pytest

from shared.telemetry.tracing import child_traceparent, trace_id_of

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = f"00-{_TRACE}-00f067aa0ba902b7-00"


def test_a_child_keeps_trace_and_flags_and_has_a_span_of_its_own() -> None:
    child = child_traceparent(_PARENT)
    assert child.startswith(f"00-{_TRACE}-")
    assert child.endswith("-00")
    assert child != _PARENT


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "nonsense",
        "00-short-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{_TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'é' * 32}-00f067aa0ba902b7-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE}-00f067aa0ba902b7-zz",
        f"ff-{_TRACE}-00f067aa0ba902b7-01",
    ],
)
def test_what_is_malformed_begins_a_new_trace(parent: str | None) -> None:
    assert trace_id_of(parent) is None
    child = child_traceparent(parent)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", child)
    assert _TRACE not in child
