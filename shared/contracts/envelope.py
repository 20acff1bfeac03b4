"""CloudEvents 1.0 in Kafka's binary mode: attributes in headers `ce_*`, the body as JSON in the value.

Sources: CloudEvents specification 1.0.2; its Kafka protocol binding 1.0.2, section 3.2; W3C Trace Context.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from shared.contracts.base import is_identifier, is_time
from shared.contracts.registry import REGISTRY, EventType, event_type_of
from shared.contracts.topics import EVENT_BYTES_MAX

D_co = TypeVar("D_co", bound=BaseModel, covariant=True)

JSON_DEPTH_MAX: Final = 32
HEADERS_MAX: Final = 64
HEADER_BYTES_MAX: Final = 1024
SEQUENCE_MAX: Final = 2**63 - 1
MILLISECONDS_MAX: Final = 253_402_300_799_999
"""The last moment of the year 9999, as a broker's timestamp."""
_REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type")
_TEXT: Final = 256
_ERRORS_SHOWN: Final = 5
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}\Z")
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event(Generic[D_co]):
    """A decoded record.

    `source` and `id` are the identity; `subject` the aggregate's id, which is the key;
    `recorded_at` the broker's time of the append.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: D_co
    sequence: int | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    recorded_at: datetime | None = None


class Undecodable(Exception):
    """A record that holds no event of ours; carries whatever of its identity could be read."""

    def __init__(self, reason_code: str, text: str) -> None:
        """Say why, as a code and in words."""
        super().__init__(text)
        self.reason_code = reason_code
        self.text = text
        self.id: str | None = None
        self.source: str | None = None
        self.type: str | None = None
        self.sequence: int | None = None
        self.key: str | None = None


def encode(
    data: BaseModel,
    *,
    id: str,  # noqa: A002 - the attribute's name in the specification
    source: str,
    subject: str,
    time: datetime,
    sequence: int | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return headers and value of an event; raises `ValueError` if the value is over 64 KiB."""
    value = data.__pydantic_serializer__.to_json(data, exclude_none=True)
    if "state" in type(data).model_fields and getattr(data, "state", None) is None:
        # Absent optional fields are left out, but that there is no state is itself the news.
        value = b'{"state":null,' + value[1:]
    if len(value) > EVENT_BYTES_MAX:
        message = f"{type(data).__name__} of {subject}: {len(value)} bytes, {EVENT_BYTES_MAX} at most"
        raise ValueError(message)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type_of(type(data)).type.encode()),
        ("ce_time", time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()),
        ("ce_subject", subject.encode()),
        ("content-type", b"application/json"),
    ]
    if sequence is not None:
        headers.append(("ce_sequence", b"%d" % sequence))
    if correlation_id is not None:
        headers.append(("ce_correlationid", correlation_id.encode()))
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    return headers, value


def decode(
    topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None, timestamp_ms: int
) -> Event[Any]:
    """Return the event that a record of `topic` (short name) holds.

    Raises `Undecodable`, and nothing else, for whatever a stranger wrote.
    """
    found: dict[str, str] = {}
    try:
        _read_headers(headers, found)
        return _decode(topic, key, found, value, timestamp_ms)
    except Undecodable as error:
        _add_identity(error, key, headers, found)
        raise


def _read_headers(headers: Sequence[tuple[str, bytes | None]], found: dict[str, str]) -> None:
    if len(headers) > HEADERS_MAX:
        raise Undecodable("headers_too_many", f"{len(headers)} headers, {HEADERS_MAX} at most")
    for name, raw in headers:
        if name[:3] != "ce_" and name not in {"content-type", "traceparent"}:
            continue
        if raw is None:
            raise Undecodable("header_unreadable", f"header {name[:_TEXT]!r} has no value")
        if len(raw) > HEADER_BYTES_MAX:
            raise Undecodable("header_too_large", f"header {name[:_TEXT]!r} has {len(raw)} bytes, {HEADER_BYTES_MAX} at most")
        if name in found:
            raise Undecodable("header_repeated", f"header {name[:_TEXT]!r} is there twice")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Undecodable("header_unreadable", f"header {name[:_TEXT]!r} is not UTF-8") from None
        if "\x00" in text:
            raise Undecodable("header_unreadable", f"header {name[:_TEXT]!r} contains U+0000")
        found[name] = text


def _decode(topic: str, key: bytes | None, found: dict[str, str], value: bytes | None, timestamp_ms: int) -> Event[Any]:
    for name in _REQUIRED:
        if not found.get(name):
            raise Undecodable("header_missing", f"header {name} is missing")
    if found["ce_specversion"] != "1.0":
        raise Undecodable("specversion_unknown", f"CloudEvents {found['ce_specversion'][:_TEXT]!r} is not known; 1.0 is")
    content_type = found["content-type"].partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Undecodable("content_type_unknown", f"content-type {content_type[:_TEXT]!r} is not application/json")
    if len(found["ce_id"]) > _TEXT or len(found["ce_source"]) > _TEXT:
        raise Undecodable("identity_too_long", f"ce_id and ce_source have {_TEXT} characters at most")
    event_type = REGISTRY.get((topic, found["ce_type"]))
    if event_type is None:
        raise Undecodable("type_unknown", f"type {found['ce_type'][:_TEXT]!r} is not one of topic {topic}")
    time, sequence = _time_of(found["ce_time"]), _sequence_of(event_type, found.get("ce_sequence"))
    data = _body_of(event_type, value)
    _check_key(event_type, key, found["ce_subject"], data)
    return Event(
        id=found["ce_id"],
        source=found["ce_source"],
        type=event_type.type,
        subject=found["ce_subject"],
        time=time,
        data=data,
        sequence=sequence,
        correlation_id=found.get("ce_correlationid"),
        traceparent=found.get("traceparent"),
        recorded_at=datetime.fromtimestamp(min(max(0, timestamp_ms), MILLISECONDS_MAX) / 1000, tz=UTC),
    )


def _time_of(text: str) -> datetime:
    if is_time(text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError:
            pass
    raise Undecodable("time_invalid", f"ce_time {text[:_TEXT]!r} is not an RFC 3339 time")


def _sequence_of(event_type: EventType, text: str | None) -> int | None:
    if text is None:
        if event_type.place.sequenced:
            raise Undecodable("header_missing", "header ce_sequence is missing")
        return None
    sequence = _decimal(text)
    if sequence is None:
        raise Undecodable("sequence_invalid", f"ce_sequence {text[:_TEXT]!r} is not a decimal number from 1 to 2^63-1")
    return sequence


def _decimal(text: str) -> int | None:
    if _DECIMAL.match(text) is None:
        return None
    number = int(text)
    return number if number <= SEQUENCE_MAX else None


def _body_of(event_type: EventType, value: bytes | None) -> BaseModel:
    if value is None:
        raise Undecodable("value_missing", "the record has no value")
    if len(value) > EVENT_BYTES_MAX:
        raise Undecodable("value_too_large", f"{len(value)} bytes, {EVENT_BYTES_MAX} at most")
    # Depth costs brackets: a body with few of them is not looked at further.
    if value.count(b"{") + value.count(b"[") > JSON_DEPTH_MAX and _depth(value) > JSON_DEPTH_MAX:
        raise Undecodable("json_too_deep", f"nested deeper than {JSON_DEPTH_MAX}")
    try:
        data: BaseModel = event_type.model.__pydantic_validator__.validate_json(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        shown = "; ".join(
            f"{'.'.join(map(str, item['loc']))[:80] or 'body'}: {item['msg'][:160]}" for item in errors[:_ERRORS_SHOWN]
        )
        code = "json_invalid" if errors and errors[0]["type"] == "json_invalid" else "body_invalid"
        more = f"; and {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
        raise Undecodable(code, shown + more) from None
    except (ValueError, RecursionError) as error:
        raise Undecodable("body_invalid", f"{type(error).__name__}: {error}"[:_TEXT]) from None
    return data


def _depth(value: bytes) -> int:
    depth = deepest = 0
    for token in _BRACKETS.finditer(value):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _check_key(event_type: EventType, key: bytes | None, subject: str, data: BaseModel) -> None:
    if key is None or key != subject.encode():
        raise Undecodable("key_wrong", "the record's key is not the event's subject")
    if event_type.key_field is None:
        return
    if not is_identifier(subject):
        raise Undecodable("key_wrong", "the subject is not the id of an image, account or instance")
    holder: Any = data
    *path, name = event_type.key_field.split(".")
    for step in path:
        holder = getattr(holder, step)
        if holder is None:
            return
    if getattr(holder, name) != subject:
        raise Undecodable("key_wrong", f"{event_type.key_field} is not the record's key")


def _add_identity(
    error: Undecodable, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], found: dict[str, str]
) -> None:
    """Add to `error` what can be told of the record in spite of it."""
    for name, raw in headers[:HEADERS_MAX]:
        if (
            name in {"ce_id", "ce_source", "ce_type", "ce_sequence"}
            and name not in found
            and raw
            and len(raw) <= HEADER_BYTES_MAX
        ):
            text = raw.decode(errors="replace")
            if "�" not in text and "\x00" not in text:
                found[name] = text
    error.id, error.source, error.type = (
        (found.get(name) or None) if len(found.get(name, "")) <= _TEXT else None for name in ("ce_id", "ce_source", "ce_type")
    )
    error.sequence = _decimal(found.get("ce_sequence", ""))
    if key is not None and len(key) <= _TEXT:
        text = key.decode(errors="replace")
        error.key = text if is_identifier(text) else None
