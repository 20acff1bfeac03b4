"""Reading a topic from where the database says.

Acknowledgement is ours alone, positions come from `consumer_offsets`, a stored offset outside the log stops the consumer loudly,
and headers that are not text never cost the records around them. FastStream reads on our behalf: subscribers.py.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faststream.kafka import KafkaMessage

from shared import faults
from shared.database.pool import Database
from shared.health import Health
from shared.messaging.failed_share import Halted
from shared.messaging.header_names import read_fast_again, read_leniently
from shared.messaging.offsets import begin_at, stored_offsets
from shared.messaging.processor import Interrupted, Processor
from shared.messaging.records import Reading, Record, read
from shared.telemetry.logs import get_logger

POLL_TIMEOUT_MS: Final = 1000
_COMMIT_EVERY_S: Final = 0.2
_RETRY_S: Final = 0.5
_DECODED_AT_ONCE: Final = 100
"""Records decoded before others, the batch at hand above all, get their turn."""

logger = get_logger(__name__)


class PositionedConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer that reads a partition only once it stands where the database says, and that waits for records.

    FastStream sleeps after an empty poll, which adds its time-out to every hop; a `getmany` that returns only with records never
    lets it. `subscription` is set right after FastStream has built the consumer.
    """

    subscription_of_ours: "Subscription"

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,  # noqa: ARG002 - waits for records, however long
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[ConsumerRecord[Any, Any]]]:
        """Wait for records; `timeout_ms` is no limit here."""
        ours = self.subscription_of_ours
        while True:
            await ours.before_poll(self)
            read_fast_again()
            try:
                found: dict[TopicPartition, list[ConsumerRecord[Any, Any]]] = await super().getmany(
                    *partitions, timeout_ms=POLL_TIMEOUT_MS, max_records=max_records
                )
            except NoOffsetForPartitionError:
                # A partition between its assignment and its seek: the next turn seeks.
                await asyncio.sleep(0.01)
            except OffsetOutOfRangeError as error:
                ours.halt(f"stored offsets outside the log: {error}")
            except UnicodeDecodeError as error:
                await logger.awarning("header_name_unreadable", topic=ours.processor.topic, error=repr(error))
                read_leniently()
                ours.read_again()
            except KafkaError as error:
                ours.processor.on_retry(f"poll failed: {error!r}"[:300])
                await logger.awarning("poll_failed", topic=ours.processor.topic, error=repr(error))
                await asyncio.sleep(_RETRY_S)
            else:
                if found:
                    ours.hand_out()
                    return found
                if not ours.applying:
                    ours.processor.on_retry(None)


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """One topic of one service, with its positions.

    `positions` holds, per assigned partition, the offset up to which records were handed to the processor; a partition that is
    not in it waits to be sought, and nothing read of it counts.
    """

    def __init__(
        self, *, processor: Processor, database: Database, health: Health, topic_prefix: str, gather_s: float = 0.0
    ) -> None:
        """Feed `processor` and keep its positions in `database`; no batch is polled within `gather_s` of the one before."""
        self.processor = processor
        self.positions: dict[int, int] = {}
        self.consumer: PositionedConsumer | None = None
        self.started = False
        """Whether the broker was reached and the topic was there."""
        self.records_max = 0
        """How many records a batch may have; one that has as many tells that more are waiting."""
        self._database = database
        self._health = health
        self._full_topic = topic_prefix + processor.topic
        self._due: set[int] = set()
        self._acknowledged: dict[int, int] = {}
        self._last_commit = 0.0
        self._handed_out = False
        self._gather_s = gather_s
        self._rests_until = 0.0
        self._halted = asyncio.Event()
        self._busy = asyncio.Lock()
        self._at_hand: asyncio.Task[None] | None = None

    @property
    def loop_name(self) -> str:
        """The name of this loop in health and metrics."""
        return f"consume.{self.processor.topic}"

    @property
    def full_topic(self) -> str:
        """The topic's name on the broker."""
        return self._full_topic

    @property
    def applying(self) -> bool:
        """Whether a batch is being applied at this moment."""
        return self._busy.locked()

    def hand_out(self) -> None:
        """Note that FastStream is given a batch, which `handle` must see before the next one is polled."""
        self._handed_out = True

    def read_again(self) -> None:
        """Have every partition sought anew before the next poll."""
        self._due.update(self.positions)

    async def before_poll(self, consumer: PositionedConsumer) -> None:
        """Do what is due between two batches; does not return once the consumer must read no more."""
        if not self.applying:  # a batch that hangs must show, although the next one is being fetched
            self._health.beat(self.loop_name)
        if self._halted.is_set() or self.processor.stopping.is_set():
            # For ever: FastStream would call again at once. The task is cancelled when the broker is stopped.
            await asyncio.Event().wait()
        if self._handed_out:
            # FastStream swallows what its parsers and middlewares raise and goes on behind the batch; here it is read again.
            self._handed_out = False
            self.read_again()
            self.processor.on_retry("a batch was lost on its way through the framework")
            await logger.aerror("batch_lost_in_framework", topic=self.processor.topic)
            await asyncio.sleep(_RETRY_S)
        await self._gather()
        if self._acknowledged and time.monotonic() - self._last_commit > _COMMIT_EVERY_S:
            await self._commit(consumer)
        await self.seek_where_due(consumer)

    async def _gather(self) -> None:
        """Under load, let a few records come together: what a batch costs by itself is many times what a record adds."""
        pause_s = self._rests_until - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Give up `revoked`; a batch of theirs still under way is stopped by the fence, not by us."""
        if self.consumer is not None:
            await self._commit(self.consumer)
        for partition in revoked:
            self.positions.pop(partition.partition, None)
            self._due.discard(partition.partition)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Mark `assigned` to be sought by the loop: aiokafka swallows what a listener raises, and a database may be away."""
        for partition in assigned:
            self.positions.pop(partition.partition, None)
            self._due.add(partition.partition)

    async def seek_where_due(self, consumer: PositionedConsumer) -> None:
        """Seek every partition that waits for it to its stored offset, or to the beginning where nothing is stored."""
        while self._due and not self._halted.is_set() and not self.processor.stopping.is_set():
            due = sorted(self._due)
            try:
                stored = await self._stored(consumer, due)
                if self._halted.is_set():
                    return
            except Exception as error:  # noqa: BLE001 - database or broker away: there is nothing to do but to try again
                await logger.awarning("seek_retried", topic=self.processor.topic, error=repr(error))
                self.processor.on_retry(f"positions not known: {type(error).__name__}: {error}"[:300])
                await asyncio.sleep(_RETRY_S)
                self._health.beat(self.loop_name)
                continue
            assigned = {partition.partition for partition in consumer.assignment()}
            for partition in due:
                if partition in self._due and partition in assigned:
                    consumer.seek(TopicPartition(self._full_topic, partition), stored[partition])
                    self.positions[partition] = stored[partition]
                self._due.discard(partition)

    async def _stored(self, consumer: PositionedConsumer, partitions: Sequence[int]) -> dict[int, int]:
        topic, pool = self.processor.topic, self._database.pool
        stored = await stored_offsets(pool, topic, partitions)
        missing = [partition for partition, offset in stored.items() if offset is None]
        if missing:
            beginnings = await consumer.beginning_offsets([TopicPartition(self._full_topic, number) for number in missing])
            await begin_at(pool, topic, {partition.partition: offset for partition, offset in beginnings.items()})
            stored = await stored_offsets(pool, topic, partitions)
        ends = await self.end_offsets(topic, partitions)
        found = {partition: offset or 0 for partition, offset in stored.items()}
        beyond = {partition: offset for partition, offset in found.items() if offset > ends[partition]}
        if beyond:
            self.halt(f"stored offsets {beyond} lie beyond the end of the log {dict(ends)}")
        return found

    async def end_offsets(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        """Return where each of `partitions` ends now; `topic` must be this subscription's."""
        if self.consumer is None or topic != self.processor.topic:
            message = f"no consumer of {topic} is running here"
            raise ConnectionError(message)
        ends = await self.consumer.end_offsets([TopicPartition(self._full_topic, number) for number in partitions])
        return {partition.partition: offset for partition, offset in ends.items()}

    async def handle(self, message: KafkaMessage) -> None:
        """Decode one polled batch and apply it, after the one before.

        While a full one is applied the next is already fetched and decoded: more are waiting, and the database has its own core.
        Never lets an exception out: FastStream would swallow it and go on behind the batch.
        """
        self._handed_out = False
        raw = message.raw_message
        polled = raw if isinstance(raw, tuple) else (raw,)
        records = [record for record in map(self._record, polled) if record.partition in self.positions]
        if not records:
            return
        start = {record.partition: self.positions[record.partition] for record in records}
        for record in records:
            self.positions[record.partition] = record.offset + 1
        readings: list[Reading] = []
        for first in range(0, len(records), _DECODED_AT_ONCE):
            readings += map(read, records[first : first + _DECODED_AT_ONCE])
            await asyncio.sleep(0)
        if self._at_hand is not None:
            await asyncio.wait([self._at_hand])
        self._at_hand = asyncio.create_task(self._apply(readings, start))
        if len(polled) < self.records_max:
            await asyncio.wait([self._at_hand])
            self._rests_until = time.monotonic() + self._gather_s

    async def _apply(self, readings: list[Reading], start: Mapping[int, int]) -> None:
        """Apply a batch, if it may still be begun; what keeps it from being applied is met by reading it again."""
        async with self._busy:
            if self._halted.is_set() or self.processor.stopping.is_set():
                return
            try:
                self._acknowledged.update(await self.processor.apply(readings, start))
            except Interrupted:
                await logger.awarning("batch_given_up", topic=self.processor.topic, batch=start)
            except Halted as halted:
                self.halt(str(halted))
            except Exception as error:  # noqa: BLE001 - above all `OffsetMoved`; nobody would hear of another
                await logger.awarning("batch_read_again", topic=self.processor.topic, batch=start, error=repr(error))
                self._due.update(partition for partition in start if partition in self.positions)

    def abandon(self) -> None:
        """Roll back the batch at hand, if there is one: the time to stop in is over."""
        if self._at_hand is not None:
            self._at_hand.cancel()

    def _record(self, record: "ConsumerRecord[Any, Any]") -> Record:
        topic = self.processor.topic
        return Record(topic, record.partition, record.offset, record.key, record.headers, record.value, record.timestamp)

    async def _commit(self, consumer: PositionedConsumer) -> None:
        """Tell the broker how far we are, for whoever watches lag there; the offsets that count are the database's."""
        offsets = {
            TopicPartition(self._full_topic, partition): offset
            for partition, offset in self._acknowledged.items()
            if partition in self.positions
        }
        self._acknowledged.clear()
        self._last_commit = time.monotonic()
        if not offsets:
            return
        service = self.processor.service
        await faults.reach(f"{service}.acknowledge.before")
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(consumer.commit(offsets), 5)
        await faults.reach(f"{service}.acknowledge.after")

    async def drain(self) -> None:
        """Let the batch at hand finish, take no other, and tell the broker how far we are."""
        self.processor.stopping.set()
        async with self._busy:
            if self.consumer is not None:
                await self._commit(self.consumer)

    def halt(self, reason: str) -> None:
        """Read no more until a person has looked: the service stays alive, and is not ready."""
        text = f"{self.processor.topic}: {reason}; see the runbook on offsets before changing consumer_offsets"
        self._health.halt(self.loop_name, text)
        self._halted.set()
        logger.error("consumer_halted", topic=self.processor.topic, reason=text)
