"""One unit of work: state, timers and outgoing events that become true together, or not at all."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, JsonValue
from uuid_utils import uuid7

from shared.contracts.envelope import encode
from shared.contracts.registry import EventType, event_type_of
from shared.contracts.topics import TOPICS
from shared.messaging.headers import headers_to_text
from shared.telemetry.tracing import child_traceparent

if TYPE_CHECKING:
    import asyncpg


_TAKE_SEQUENCES: Final = """
    INSERT INTO key_sequences AS held (topic, key, sequence)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS taken (topic, key, sequence) ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET sequence = held.sequence + excluded.sequence
    RETURNING topic, key, sequence
"""
# The order of `unnest` is the order of ids: events of one key leave in the order in which they were emitted.
_INSERT_OUTBOX: Final = """
    INSERT INTO outbox (topic, key, headers, value)
    SELECT topic, key, headers, value
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS sent (topic, key, headers, value, position)
    ORDER BY position
"""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that came due.

    `kind` and `key` name it, `due_at` is the database's time at which it was due, `payload` is what `schedule` was given.
    """

    kind: str
    key: str
    due_at: datetime
    payload: Mapping[str, JsonValue]


class TimerOvertaken(Exception):
    """The timer was cancelled, moved or done while its handler ran; its transaction must leave nothing."""


@dataclass(frozen=True, slots=True)
class _Emission:
    event_type: EventType
    data: BaseModel
    key: str
    sequence: int | None
    correlation_id: str | None
    traceparent: str | None


class Transaction:
    """An open transaction of a service's database, handed to every handler.

    `connection` runs SQL inside it; `now` is the database's time at its start, the only clock decisions may use. Events given to
    `emit` reach the outbox when the block that opened the transaction ends, in order, and are relayed after the commit.
    """

    __slots__ = ("_emissions", "after_commit", "connection", "due", "may_park", "now", "source", "topic_prefix", "traceparent")

    def __init__(self, connection: "asyncpg.Connection[Any]", *, now: datetime, source: str, topic_prefix: str) -> None:
        """Wrap `connection`, which is inside a transaction begun at `now`; `source` is the service's CloudEvents source."""
        self.connection = connection
        self.now = now
        self.source = source
        self.topic_prefix = topic_prefix
        self.traceparent: str | None = None
        """W3C trace context of the event being handled; what is emitted becomes its child."""
        self.may_park = False
        """Whether a handler may raise `Park` for the request it is given."""
        self.due: Timer | None = None
        """The timer this transaction works off, until its row is removed."""
        self.after_commit: list[Callable[[], None]] = []
        """Called, in order, once the commit is known: wake-ups of local workers, never effects."""
        self._emissions: list[_Emission] = []

    @property
    def emitted(self) -> int:
        """How many events were emitted so far."""
        return len(self._emissions)

    def emit(self, data: BaseModel, *, key: str, correlation_id: str | None = None, sequence: int | None = None) -> None:
        """Send `data` with this transaction, keyed by the aggregate's id.

        Topic and type follow from the class of `data`. On topics that carry state the sequence is counted here, per topic and
        key; for check jobs and results the caller counts per check and passes `sequence`.
        """
        self._emissions.append(_Emission(event_type_of(type(data)), data, key, sequence, correlation_id, self.traceparent))

    async def next_sequence(self, topic: str, key: str) -> int:
        """Take the next sequence of `key` on `topic` (short name) now; the key's row stays locked until the end."""
        rows = await self.connection.fetch(_TAKE_SEQUENCES, [topic], [key], [1])
        return int(rows[0]["sequence"])

    async def schedule(self, kind: str, key: str, *, due_at: datetime, payload: Mapping[str, JsonValue]) -> None:
        """Set the timer (`kind`, `key`) to `due_at`, replacing an earlier one."""
        await self._take_due(kind, key)
        await self.connection.execute(
            "INSERT INTO timers (kind, key, due_at, payload) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at, payload = excluded.payload",
            kind,
            key,
            due_at,
            json.dumps(payload),
        )

    async def cancel_timer(self, kind: str, key: str) -> None:
        """Remove the timer (`kind`, `key`) if it is set."""
        await self._take_due(kind, key)
        await self.connection.execute("DELETE FROM timers WHERE kind = $1 AND key = $2", kind, key)

    async def take_due_timer(self) -> None:
        """Remove the timer being worked off (`due`); raises `TimerOvertaken` if it was cancelled, moved or done meanwhile."""
        timer, self.due = self.due, None
        if timer is None:
            return
        tag = await self.connection.execute(
            "DELETE FROM timers WHERE kind = $1 AND key = $2 AND due_at = $3", timer.kind, timer.key, timer.due_at
        )
        if tag != "DELETE 1":
            raise TimerOvertaken

    async def _take_due(self, kind: str, key: str) -> None:
        # A handler that sets its own timer anew means the next one: the one at hand has to go first.
        if self.due is not None and (self.due.kind, self.due.key) == (kind, key):
            await self.take_due_timer()

    async def is_unclear(self, topic: str, key: str) -> bool:
        """Whether a record of `key` on `topic` (short name) could not be read and nothing newer has mended it."""
        found = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM reader_keys WHERE topic = $1 AND key = $2 AND unclear)", topic, key
        )
        return bool(found)

    async def flush(self) -> int:
        """Write the emitted events to the outbox; returns how many. Called once, by the block that opened the transaction."""
        emissions, self._emissions = self._emissions, []
        if not emissions:
            return 0
        sequences = await self._take_sequences(emissions)
        topics, keys, headers_column, values = [], [], [], []
        for emission in emissions:
            topic = emission.event_type.topic
            sequence = emission.sequence
            if sequence is None and (topic, emission.key) in sequences:
                sequence = sequences[topic, emission.key] = sequences[topic, emission.key] + 1
            headers, value = encode(
                emission.data,
                id=str(uuid7()),
                source=self.source,
                subject=emission.key,
                time=self.now,
                sequence=sequence,
                correlation_id=emission.correlation_id,
                traceparent=child_traceparent(emission.traceparent),
            )
            topics.append(self.topic_prefix + topic)
            keys.append(emission.key)
            headers_column.append(headers_to_text(headers))
            values.append(value)
        await self.connection.execute(_INSERT_OUTBOX, topics, keys, headers_column, values)
        return len(emissions)

    async def _take_sequences(self, emissions: list[_Emission]) -> dict[tuple[str, str], int]:
        """Reserve the sequences that `emissions` need; maps (topic, key) to the one before the first reserved."""
        wanted = Counter(
            (emission.event_type.topic, emission.key)
            for emission in emissions
            if emission.sequence is None and TOPICS[emission.event_type.topic].carries_state
        )
        if not wanted:
            return {}
        ordered = sorted(wanted.items())
        rows = await self.connection.fetch(
            _TAKE_SEQUENCES,
            [topic for (topic, _), _ in ordered],
            [key for (_, key), _ in ordered],
            [count for _, count in ordered],
        )
        return {(row["topic"], row["key"]): row["sequence"] - wanted[row["topic"], row["key"]] for row in rows}
