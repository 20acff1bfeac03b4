"""One unit of work: state, timers and outgoing events that become true together, or not at all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, JsonValue

from shared.contracts.registry import event_type_of
from shared.database.outbox import Emission, take_sequence, write_events

if TYPE_CHECKING:
    import asyncpg


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


class Transaction:
    """An open transaction of a service's database, handed to every handler.

    `connection` runs SQL inside it; `now` is the database's time at its start, the only clock decisions may use. Events given to
    `emit` reach the outbox when the block that opened the transaction ends, in order, and are relayed after the commit.
    """

    __slots__ = (
        "_emissions",
        "after_commit",
        "connection",
        "due",
        "may_park",
        "now",
        "seen",
        "source",
        "topic_prefix",
        "traceparent",
    )

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
        self.seen: dict[tuple[str, ...], Any] = {}
        """What was read of rows that this transaction has locked. Whoever writes such a row keeps this true, or forgets it."""
        self._emissions: list[Emission] = []

    @property
    def emitted(self) -> int:
        """How many events were emitted so far."""
        return len(self._emissions)

    def emit(self, data: BaseModel, *, key: str, correlation_id: str | None = None, sequence: int | None = None) -> None:
        """Send `data` with this transaction, keyed by the aggregate's id.

        Topic and type follow from the class of `data`. On topics that carry state the sequence is counted here, per topic and
        key; for check jobs and results the caller counts per check and passes `sequence`.
        """
        self._emissions.append(Emission(event_type_of(type(data)), data, key, sequence, correlation_id, self.traceparent))

    async def next_sequence(self, topic: str, key: str) -> int:
        """Take the next sequence of `key` on `topic` (short name) now; the key's row stays locked until the end."""
        return await take_sequence(self.connection, topic, key)

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
        await write_events(self.connection, emissions, now=self.now, source=self.source, topic_prefix=self.topic_prefix)
        return len(emissions)
