"""W3C trace context: one trace from a request to its last effect.

The two functions need no tracer; an exporter joins later by the same header (https://www.w3.org/TR/trace-context/).
"""

import secrets

_VERSION, _SAMPLED = "00", "01"
_PARTS = 4


def child_traceparent(parent: str | None) -> str:
    """Return a `traceparent` for a new span within `parent`'s trace, or of a new trace if there is none or it is malformed."""
    trace_id, flags = trace_id_of(parent), _SAMPLED
    if trace_id is None:
        trace_id = secrets.token_hex(16)
    elif parent is not None:
        flags = parent.split("-")[3][:2]
    return f"{_VERSION}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the 32 hex digits that name the trace, or None if `traceparent` is absent or malformed."""
    if traceparent is None:
        return None
    parts = traceparent.split("-")
    if len(parts) < _PARTS or len(parts[1]) != 32 or not parts[1].isalnum() or len(parts[3]) < 2:  # noqa: PLR2004
        return None
    return parts[1]
