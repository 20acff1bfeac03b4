"""One record as read from a topic, and what became of reading it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from shared.contracts.envelope import Event, Undecodable, decode


@dataclass(slots=True)
class Record:
    """A raw record, not to be changed: `topic` is the short name, `timestamp_ms` the broker's Unix time of the append."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Why a record cannot be taken, with whatever of its identity could be read."""

    reason_code: str
    reason_text: str
    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    sequence: int | None = None
    key: str | None = None


@dataclass(slots=True)
class Reading:
    """A record with the event it holds, or the reason why it holds none."""

    record: Record
    event: Event[Any] | None
    dead: Dead | None = None
    identity: bytes | None = field(init=False, default=None)
    """The 16 bytes under which the inbox knows the event; None if source or id could not be read."""
    content: bytes = field(init=False)
    """16 bytes that stand for what the event says: where, of which type, with which sequence and key, and its value."""

    def __post_init__(self) -> None:
        if self.event is not None:
            self.identity = identity_of(self.event.source, self.event.id)
        elif self.dead is not None and self.dead.source and self.dead.event_id:
            self.identity = identity_of(self.dead.source, self.dead.event_id)
        about = self.event or self.dead
        head = f"{self.record.topic}\x00{about and about.type}\x00{about and about.sequence}\x00".encode(errors="surrogatepass")
        whole = b"".join((head, self.record.key or b"", b"\x00", self.record.value or b""))
        self.content = blake2b(whole, digest_size=16).digest()


def read(record: Record) -> Reading:
    """Decode `record`; never raises for what a stranger wrote."""
    try:
        event = decode(record.topic, record.key, record.headers, record.value, record.timestamp_ms)
    except Undecodable as error:
        return Reading(record, None, dead_of(error))
    return Reading(record, event)


def dead_of(error: Undecodable) -> Dead:
    """Return what `error` says of a record, as it is kept."""
    return Dead(
        reason_code=error.reason_code,
        reason_text=error.text,
        source=error.source,
        event_id=error.id,
        type=error.type,
        sequence=error.sequence,
        key=error.key,
    )


def failed(record: Record, event: Event[Any] | None, error: BaseException) -> Reading:
    """Return the reading of `record` as one that our own fault keeps from being applied: `error` is the proof."""
    return Reading(record, None, _dead_event("handler_failed", f"{type(error).__name__}: {error}"[:1000], event))


def reused(record: Record, event: Event[Any]) -> Reading:
    """Return the reading of `record` as one whose identity was used before for other bytes."""
    text = "ce_source and ce_id were used before for an event with other bytes; give every event an id of its own"
    return Reading(record, None, _dead_event("identity_reused", text, event))


def _dead_event(reason_code: str, reason_text: str, event: Event[Any] | None) -> Dead:
    if event is None:
        return Dead(reason_code, reason_text)
    return Dead(reason_code, reason_text, event.source, event.id, event.type, event.sequence, event.subject)


def identity_of(source: str, event_id: str) -> bytes:
    """Return 16 bytes that stand for (`source`, `event_id`): equal identities give equal bytes.

    The first 6 are a UUIDv7's milliseconds (RFC 9562, 5.7), so that rows written together lie together in the inbox's index; the
    rest, or all of it for other ids, is a hash.
    """
    digest = blake2b(f"{source}\x00{event_id}".encode(errors="surrogatepass"), digest_size=16).digest()
    if len(event_id) == 36 and event_id[14] == "7":  # noqa: PLR2004 - a UUID's text
        try:
            return bytes.fromhex(event_id[:8] + event_id[9:13]) + digest[6:]
        except ValueError:
            return digest
    return digest
