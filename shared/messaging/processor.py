"""A batch of records becomes one transaction: inbox, state, outbox and offsets together."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from shared import faults
from shared.contracts.topics import TOPICS
from shared.database.errors import TRIES, Fault, fault_of
from shared.database.pool import Database
from shared.database.transaction import Transaction
from shared.messaging.admission import let_in
from shared.messaging.dead_letters import bury
from shared.messaging.failed_share import FailedShare
from shared.messaging.handlers import BatchHandler, EachHandler, Park
from shared.messaging.offsets import OffsetMoved, Positions
from shared.messaging.parked import EndOffsets, keys_with_parked, park
from shared.messaging.records import Reading, Record, failed, read
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

_BACKOFF_FIRST_S: Final = 0.05
_BACKOFF_MAX_S: Final = 5.0

logger = get_logger(__name__)


class Interrupted(Exception):
    """The service is stopping; the batch at hand was rolled back and is read again after the next start."""


@dataclass(slots=True)
class Processor:
    """Applies the batches of one topic of one service.

    `handler` gets decoded, new, not stale events. A failure that may heal is retried for ever with back-off; one that is our own
    fault is narrowed down by halving the batch to the one record that causes it, which becomes a dead letter `handler_failed`.
    """

    database: Database
    service: str
    topic: str
    handler: BatchHandler
    failed_share_max: float = 0.1
    end_offsets: EndOffsets | None = None
    beat: Callable[[], None] = lambda: None
    on_retry: Callable[[str | None], None] = lambda _: None
    """Told why the batch at hand is being tried again, and None once it went through."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the service drains: what succeeds is finished, what fails is not tried again."""
    _share: FailedShare = field(init=False)

    def __post_init__(self) -> None:
        self._share = FailedShare(f"records of {self.topic}", self.failed_share_max)

    async def process(self, records: Sequence[Record], start: Positions) -> dict[int, int]:
        """Decode and apply `records`; see `apply`."""
        return await self.apply([read(record) for record in records], start)

    async def apply(self, readings: list[Reading], start: Positions) -> dict[int, int]:
        """Apply `readings`, which follow on `start` (partition → offset); returns the new position of each partition.

        Raises `OffsetMoved` if the database stands elsewhere, `Halted` if the consumer must not go on, `Interrupted` if it should
        stop while a failure keeps it from going on.
        """
        began = time.monotonic()
        position = dict(start)
        await self._apply_or_narrow(readings, position)
        metrics.BATCH_SECONDS.labels(self.topic).observe(time.monotonic() - began)
        return position

    async def _apply_or_narrow(self, readings: list[Reading], position: dict[int, int]) -> None:
        error = await self._apply_until_sure(readings, position)
        if error is None:
            return
        if len(readings) > 1:
            middle = len(readings) // 2
            await self._apply_or_narrow(readings[:middle], position)
            await self._apply_or_narrow(readings[middle:], position)
            return
        self._share.failed()
        await logger.aerror(
            "record_failed", topic=self.topic, offset=readings[0].record.offset, error=repr(error), exc_info=error
        )
        readings[0] = failed(readings[0].record, readings[0].event, error)
        await self._apply_or_narrow(readings, position)

    async def _apply_until_sure(self, readings: list[Reading], position: dict[int, int]) -> BaseException | None:
        """Apply `readings` and move `position`; returns the error if it is proven to be theirs."""
        pause_s, failures, waits = _BACKOFF_FIRST_S, 0, 0
        while True:
            self.beat()
            try:
                await self._apply(readings, position)
            except OffsetMoved:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is not proven permanent is tried again
                fault = fault_of(error)
                metrics.BATCH_RETRIES.labels(self.topic, fault.value).inc()
                self.on_retry(f"{type(error).__name__}: {error}"[:300])
                if fault is not Fault.TRANSIENT and await self._database_takes_writes():
                    failures += 1
                    if failures >= TRIES[fault]:
                        return error
                if waits % 10 == 0:
                    await logger.awarning("batch_retried", topic=self.topic, fault=fault.value, error=repr(error))
                waits += 1
                await self._pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, _BACKOFF_MAX_S)
            else:
                self.on_retry(None)
                return None

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), pause_s)
            raise Interrupted

    async def _apply(self, readings: Sequence[Reading], position: dict[int, int]) -> None:
        start = {reading.record.partition: position[reading.record.partition] for reading in readings}
        end = {reading.record.partition: reading.record.offset + 1 for reading in readings}
        async with self.database.transaction(asks_time=False) as tx:
            fresh, newer = await let_in(tx, self.topic, readings, start=start, end=end)
            await bury(tx, f"{self.service}/{self.topic}", newer)
            parked = await self._handle(tx, [reading for reading in newer if reading.event is not None])
            await faults.reach(f"{self.service}.consume.before_commit")
        await faults.reach(f"{self.service}.consume.after_commit")
        position.update(end)
        self._count(readings, fresh, newer, parked)

    async def _handle(self, tx: Transaction, readings: Sequence[Reading]) -> int:
        """Give `readings` to the handler; returns how many were parked."""
        handler = self.handler
        if not isinstance(handler, EachHandler) or not TOPICS[self.topic].requests:
            await handler(tx, [reading.event for reading in readings if reading.event is not None])
            return 0
        waiting = await keys_with_parked(tx, self.topic, readings)
        if handler.before is not None:
            await handler.before(tx, [reading.event for reading in readings if reading.event is not None])
        parked = 0
        for reading in readings:
            if reading.event is None:
                continue
            if reading.event.subject in waiting:
                await park(tx, reading, (), None)
                parked += 1
                continue
            tx.may_park = True
            try:
                await handler.one(tx, reading.event)
            except Park as wish:
                await park(tx, reading, wish.needs, self.end_offsets)
                waiting.add(reading.event.subject)
                parked += 1
            finally:
                tx.may_park = False
        return parked

    async def _database_takes_writes(self) -> bool:
        try:
            await self.database.probe_write()
        except Exception as error:  # noqa: BLE001 - any failure here means the record is not to blame
            await logger.awarning("write_probe_failed", error=repr(error))
            return False
        return True

    def _count(self, readings: Sequence[Reading], fresh: Sequence[Reading], newer: Sequence[Reading], parked: int) -> None:
        dead = 0
        for reading in newer:
            if reading.dead is not None:
                dead += 1
                metrics.DEAD_LETTERS.labels(self.topic, reading.dead.reason_code).inc()
        outcomes = {
            "duplicate": len(readings) - len(fresh),
            "stale": len(fresh) - len(newer),
            "dead": dead,
            "parked": parked,
            "applied": len(newer) - dead - parked,
        }
        for outcome, count in outcomes.items():
            if count:
                metrics.RECORDS_CONSUMED.labels(self.topic, outcome).inc(count)
        self._share.succeeded(len(readings))
