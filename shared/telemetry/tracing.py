"""W3C trace context: one trace from a request to its last effect.

The two functions need no tracer; an exporter joins later by the same header (https://www.w3.org/TR/trace-context/).
"""

import random
import re
from typing import Final

_FORM: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})(-.{0,200})?", re.ASCII
)
_VERSION: Final = "00"
_SAMPLED: Final = "01"


def child_traceparent(parent: str | None) -> str:
    """Return a `traceparent` for a new span within `parent`'s trace, or of a new trace if there is none or it is malformed."""
    form = None if parent is None else _FORM.fullmatch(parent)
    trace_id, flags = (f"{_identifier(128):032x}", _SAMPLED) if form is None else (form["trace"], form["flags"])
    return f"{_VERSION}-{trace_id}-{_identifier(64):016x}-{flags}"


def _identifier(bits: int) -> int:
    """Return a number that is not 0, which the format forbids; unique, and no secret: no system call for each."""
    return random.getrandbits(bits) or 1


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the 32 hex digits that name the trace, or None if `traceparent` is absent or malformed."""
    form = None if traceparent is None else _FORM.fullmatch(traceparent)
    return None if form is None else form["trace"]
