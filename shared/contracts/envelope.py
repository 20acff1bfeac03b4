"""CloudEvents 1.0 in Kafka's binary mode: attributes in headers `ce_*`, the body as JSON in the value.

Sources: CloudEvents specification 1.0.2; its Kafka protocol binding 1.0.2, section 3.2; W3C Trace Context.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
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
_required = itemgetter(*_REQUIRED)
_TEXT: Final = 256
_ERRORS_SHOWN: Final = 5
_DIGITS_MAX: Final = 19
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(slots=True)
class Event(Generic[D_co]):
    """A decoded record, not to be changed (it is not frozen because that makes each of them several times dearer).

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
    event_type = event_type_of(type(data))
    value = encode_body(data, event_type, subject)
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.type.encode()),
        ("ce_time", time_text(time).encode()),
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


def encode_body(data: BaseModel, event_type: EventType, subject: str) -> bytes:
    """Return the value of an event about `subject`; raises `ValueError` if it is over 64 KiB."""
    value = data.__pydantic_serializer__.to_json(data, exclude_none=True)
    if event_type.place.carries_state and getattr(data, "state", None) is None:
        # Absent optional fields are left out, but that there is no state is itself the news.
        value = b'{"state":null,' + value[1:]
    if len(value) > EVENT_BYTES_MAX:
        message = f"{type(data).__name__} of {subject}: {len(value)} bytes, {EVENT_BYTES_MAX} at most"
        raise ValueError(message)
    return value


def time_text(time: datetime) -> str:
    """Return `time` as `ce_time` has it: RFC 3339 in UTC, with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def decode(
    topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None, timestamp_ms: int
) -> Event[Any]:
    """Return the event that a record of `topic` (short name) holds.

    Raises `Undecodable`, and nothing else, for whatever a stranger wrote.
    """
    found: dict[str, bytes] = {}
    try:
        if (plain := _plain(headers)) is not None:
            found = plain
        else:
            _read_headers(headers, found)
        return _decode(topic, key, found, value, timestamp_ms)
    except Undecodable as error:
        _add_identity(error, key, headers, found)
        raise


def _plain(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, bytes] | None:
    """Return the headers if nothing about them needs a closer look: no name twice, ASCII without U+0000, short all together.

    Nearly all are, and to see that of the whole is many times cheaper than to look at each.
    """
    found: dict[str, Any] = dict(headers)
    if len(found) != len(headers) or len(found) > HEADERS_MAX:
        return None
    try:
        together = b"".join(found.values())
    except TypeError:  # one has no value
        return None
    return found if len(together) <= HEADER_BYTES_MAX and together.isascii() and b"\x00" not in together else None


def _read_headers(headers: Sequence[tuple[str, bytes | None]], found: dict[str, bytes]) -> None:
    """Put the headers that are ours into `found`, each of them UTF-8, or say what is wrong with one."""
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
            raw.decode()
        except UnicodeDecodeError:
            raise Undecodable("header_unreadable", f"header {name[:_TEXT]!r} is not UTF-8") from None
        if b"\x00" in raw:
            raise Undecodable("header_unreadable", f"header {name[:_TEXT]!r} contains U+0000")
        found[name] = raw


def _decode(topic: str, key: bytes | None, found: dict[str, bytes], value: bytes | None, timestamp_ms: int) -> Event[Any]:
    try:
        required = _required(found)
    except KeyError:
        required = ()
    if not required or not all(required):
        missing = next(name for name in _REQUIRED if not found.get(name))
        raise Undecodable("header_missing", f"header {missing} is missing")
    version, raw_id, raw_source, raw_type, raw_time, subject, content_type = required
    if version != b"1.0":
        raise Undecodable("specversion_unknown", f"CloudEvents {version.decode()[:_TEXT]!r} is not known; 1.0 is")
    if content_type != b"application/json":
        _check_content_type(content_type.decode())
    identity, source = raw_id.decode(), raw_source.decode()
    if len(identity) > _TEXT or len(source) > _TEXT:
        raise Undecodable("identity_too_long", f"ce_id and ce_source have {_TEXT} characters at most")
    event_type = REGISTRY.get((topic, raw_type.decode()))
    if event_type is None:
        raise Undecodable("type_unknown", f"type {raw_type.decode()[:_TEXT]!r} is not one of topic {topic}")
    time, sequence = _time_of(raw_time.decode()), _sequence_of(event_type, found.get("ce_sequence"))
    data = _body_of(event_type, value)
    if key != subject:
        raise Undecodable("key_wrong", "the record's key is not the event's subject")
    about = subject.decode()
    if event_type.key_path:
        _check_key(event_type, about, data)
    correlation_id, traceparent = found.get("ce_correlationid"), found.get("traceparent")
    return Event(
        identity,
        source,
        event_type.type,
        about,
        time,
        data,
        sequence,
        None if correlation_id is None else correlation_id.decode(),
        None if traceparent is None else traceparent.decode(),
        moment(timestamp_ms),
    )


@lru_cache(maxsize=1024)
def moment(timestamp_ms: int) -> datetime:
    """Return the time of a broker's timestamp (milliseconds of Unix time); records of one append share it, hence the cache."""
    return datetime.fromtimestamp(min(max(0, timestamp_ms), MILLISECONDS_MAX) / 1000, tz=UTC)


def _check_content_type(text: str) -> None:
    content_type = text.partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Undecodable("content_type_unknown", f"content-type {content_type[:_TEXT]!r} is not application/json")


def _time_of(text: str) -> datetime:
    if is_time(text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError:
            pass
    raise Undecodable("time_invalid", f"ce_time {text[:_TEXT]!r} is not an RFC 3339 time")


def _sequence_of(event_type: EventType, raw: bytes | None) -> int | None:
    if raw is None:
        if event_type.place.sequenced:
            raise Undecodable("header_missing", "header ce_sequence is missing")
        return None
    sequence = _decimal(raw)
    if sequence is None:
        raise Undecodable("sequence_invalid", f"ce_sequence {raw.decode()[:_TEXT]!r} is not a decimal number from 1 to 2^63-1")
    return sequence


def _decimal(raw: bytes) -> int | None:
    if len(raw) > _DIGITS_MAX or not raw.isdigit() or raw[:1] == b"0":
        return None
    number = int(raw)
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


def _check_key(event_type: EventType, subject: str, data: BaseModel) -> None:
    if not is_identifier(subject):
        raise Undecodable("key_wrong", "the subject is not the id of an image, account or instance")
    holder: Any = data
    *path, name = event_type.key_path
    for step in path:
        holder = getattr(holder, step)
        if holder is None:
            return
    if getattr(holder, name) != subject:
        raise Undecodable("key_wrong", f"{event_type.key_field} is not the record's key")


def _add_identity(
    error: Undecodable, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], found: dict[str, bytes]
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
                found[name] = raw
    texts = (found.get(name, b"").decode() for name in ("ce_id", "ce_source", "ce_type"))
    error.id, error.source, error.type = ((text or None) if len(text) <= _TEXT else None for text in texts)
    error.sequence = _decimal(found.get("ce_sequence", b""))
    if key is not None and len(key) <= _TEXT:
        text = key.decode(errors="replace")
        error.key = text if is_identifier(text) else None
