"""What a service gives the plumbing: functions that turn events into state and further events."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.contracts.envelope import Event
from shared.database.transaction import Timer, Transaction

EventHandler = Callable[[Transaction, Event[Any]], Awaitable[None]]
"""Applies one event inside the transaction it is given. May be called again with the same event if that transaction fails."""

BatchHandler = Callable[[Transaction, Sequence[Event[Any]]], Awaitable[None]]
"""Applies events, in order, inside one transaction. Duplicates and stale sequences never arrive."""

TimerHandler = Callable[[Transaction, Timer], Awaitable[None]]
"""Does what a timer was set for. The timer is gone if the transaction commits; it stays if it does not."""


class Park(Exception):
    """Raised by a handler, before any write, for a request that may have overtaken the facts it needs.

    `needs` are (topic, key) pairs, short topic names: the request comes back, with `may_park` false, once this service has read
    those keys' partitions as far as they reach now, and two seconds have passed at least. Key None: every partition of the topic,
    for what no key names.
    """

    def __init__(self, needs: Sequence[tuple[str, str | None]] = ()) -> None:
        """Wait for `needs`."""
        super().__init__(*needs)
        self.needs = tuple(needs)


@dataclass(slots=True)
class EachHandler:
    """A batch handler that gives each event to the handler of its data's class, and collects those that ask to be parked."""

    handlers: Mapping[Any, EventHandler]
    """By model class. (`Mapping` is invariant in its keys: `type[BaseModel]` would refuse every narrower dict.)"""
    before: BatchHandler | None = None
    """Called with the whole batch before its first event: takes the locks of all of them in one order. Writes nothing."""

    async def __call__(self, tx: Transaction, events: Sequence[Event[Any]]) -> None:
        """Apply `events` one by one; raises what a handler raises, `Park` included where parking is not possible."""
        if self.before is not None:
            await self.before(tx, events)
        for event in events:
            await self.one(tx, event)

    async def one(self, tx: Transaction, event: Event[Any]) -> None:
        """Apply one event; a type without a handler is not of interest to this service."""
        handler = self.handlers.get(type(event.data))
        if handler is None:
            return
        tx.traceparent = event.traceparent
        emitted = tx.emitted
        try:
            await handler(tx, event)
        except Park:
            if tx.emitted != emitted:
                message = f"the handler of {event.type} asked to park after it had emitted"
                raise RuntimeError(message) from None
            raise


def each(handlers: Mapping[Any, EventHandler], *, before: BatchHandler | None = None) -> EachHandler:
    """Return a batch handler that dispatches each event by the class of its data: model class → handler.

    `before`, which may lock and not write, sees the whole batch first.
    """
    return EachHandler(handlers, before)
