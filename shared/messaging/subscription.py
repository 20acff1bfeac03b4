"""FastStream subscriptions whose position is the database's.

The one place where subscribers are made: acknowledgement is ours alone, positions come from `consumer_offsets`, a stored offset
outside the log stops the consumer loudly, and headers that are not text never cost the records around them.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from shared import faults
from shared.database.pool import Database
from shared.health import Health
from shared.messaging.offsets import OffsetMoved, begin_at, stored_offsets
from shared.messaging.processor import Halted, Processor
from shared.messaging.records import Record
from shared.telemetry.logs import get_logger

_POLL_TIMEOUT_MS: Final = 1000
_COMMIT_EVERY_S: Final = 0.2
_RETRY_S: Final = 0.5
_HALT_POLL_S: Final = 3600.0

logger = get_logger(__name__)


class PositionedConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer that reads a partition only once it stands where the database says, and that waits for records.

    FastStream sleeps after an empty poll, which adds its time-out to every hop; a `getmany` that returns only with records never
    lets it. `subscription` is set right after FastStream has built the consumer.
    """

    subscription_of_ours: "Subscription"

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord[Any, Any]]]:
        """Wait for records; the arguments' time-out is a turn's length, not a limit."""
        ours = self.subscription_of_ours
        while True:
            ours.beat()
            await ours.seek_where_due(self)
            try:
                found = await super().getmany(*partitions, timeout_ms=_POLL_TIMEOUT_MS, max_records=max_records)
            except NoOffsetForPartitionError:
                # A partition between its assignment and its seek: the next turn seeks.
                await asyncio.sleep(0.01)
                continue
            except OffsetOutOfRangeError as error:
                await ours.halt_out_of_range(error)
                continue
            except KafkaError as error:
                await logger.awarning("poll_failed", topic=ours.processor.topic, error=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            if found:
                return found


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """One topic of one service, with its positions.

    `positions` holds, per assigned partition, the offset up to which records were handed to the processor; a partition that is not in it
    waits to be sought, and nothing read of it counts.
    """

    def __init__(self, *, processor: Processor, database: Database, health: Health, topic_prefix: str) -> None:
        """Feed `processor` and keep its positions in `database`."""
        self.processor = processor
        self.positions: dict[int, int] = {}
        self.consumer: PositionedConsumer | None = None
        self._database = database
        self._health = health
        self._full_topic = topic_prefix + processor.topic
        self._due: set[int] = set()
        self._acknowledged: dict[int, int] = {}
        self._last_commit = 0.0
        self.busy = asyncio.Lock()
        """Held while a batch is being applied; a drain waits for it."""

    @property
    def loop_name(self) -> str:
        """The name of this loop in health and metrics."""
        return f"consume.{self.processor.topic}"

    def beat(self) -> None:
        """Note progress."""
        self._health.beat(self.loop_name)

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
        while self._due:
            due = sorted(self._due)
            try:
                stored = await self._stored(consumer, due)
            except Exception as error:  # noqa: BLE001 - database or broker away: there is nothing to do but to try again
                await logger.awarning("seek_retried", topic=self.processor.topic, error=repr(error))
                await asyncio.sleep(_RETRY_S)
                self.beat()
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
            await self._halt(f"stored offsets {beyond} lie beyond the end of the log {dict(ends)}")
        return found

    async def end_offsets(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        """Return where each of `partitions` ends now; `topic` must be this subscription's."""
        if self.consumer is None or topic != self.processor.topic:
            message = f"no consumer of {topic} is running here"
            raise ConnectionError(message)
        ends = await self.consumer.end_offsets([TopicPartition(self._full_topic, number) for number in partitions])
        return {partition.partition: offset for partition, offset in ends.items()}

    async def handle(self, message: KafkaMessage) -> None:
        """Apply one polled batch. Never lets an exception out: FastStream would swallow it and go on behind the batch."""
        raw = message.raw_message
        polled = raw if isinstance(raw, tuple) else (raw,)
        records = [record for record in map(self._record, polled) if record.partition in self.positions]
        if not records:
            return
        start = {record.partition: self.positions[record.partition] for record in records}
        for record in records:
            self.positions[record.partition] = record.offset + 1
        async with self.busy:
            try:
                position = await self.processor.process(records, start)
            except OffsetMoved as moved:
                await logger.awarning("offset_moved", topic=self.processor.topic, batch=start, stored=moved.stored)
                self._due.update(partition for partition in start if partition in self.positions)
                return
            except Halted as halted:
                await self._halt(str(halted))
                return
        self._acknowledged.update(position)
        if self.consumer is not None and time.monotonic() - self._last_commit > _COMMIT_EVERY_S:
            await self._commit(self.consumer)

    def _record(self, record: "ConsumerRecord[Any, Any]") -> Record:
        return Record(
            self.processor.topic,
            record.partition,
            record.offset,
            record.key,
            record.headers,
            record.value,
            record.timestamp,
        )

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

    async def acknowledge_now(self) -> None:
        """Commit to the broker what is not yet committed there; for a drain."""
        if self.consumer is not None:
            await self._commit(self.consumer)

    async def halt_out_of_range(self, error: OffsetOutOfRangeError) -> None:
        """Stop: the stored offset is not in the log any more (topic made anew, or its retention passed)."""
        await self._halt(f"stored offsets outside the log: {error}")

    async def _halt(self, reason: str) -> None:
        text = f"{self.processor.topic}: {reason}; see the runbook on offsets before changing consumer_offsets"
        self._health.halt(self.loop_name, text)
        await logger.aerror("consumer_halted", topic=self.processor.topic, reason=text)
        while True:
            await asyncio.sleep(_HALT_POLL_S)


async def _batch_parser(message: Any, original: Any) -> KafkaMessage:  # noqa: ANN401 - FastStream's parser signature
    """Wrap raw records without looking at their headers: the library's parser raises on None and on bytes that are no text."""
    records: tuple[ConsumerRecord[Any, Any], ...] = message
    first = records[0]
    return KafkaMessage(
        body=b"",
        raw_message=records,
        headers={},
        batch_headers=[],
        message_id=f"{first.topic}-{first.partition}-{first.offset}",
        consumer=original.__self__._consumer,  # noqa: SLF001 - the message class wants it; ours never uses it
    )


async def _no_decoder(_message: Any, _original: Any) -> None:  # noqa: ANN401 - FastStream's decoder signature
    """Leave the bytes alone: decoding per record inside the framework halves throughput."""


async def start_subscriptions(
    broker: KafkaBroker, subscriptions: Sequence[Subscription], *, group_prefix: str, records_max: int
) -> None:
    """Subscribe each of `subscriptions` in a group of its own and start reading. Raises the client's errors."""
    await broker.connect()
    config = broker.config.broker_config
    base: partial[AIOKafkaConsumer] = config.builder  # type: ignore[assignment]
    for subscription in subscriptions:
        topic = subscription.processor.topic
        subscriber = broker.subscriber(
            subscription._full_topic,  # noqa: SLF001 - same module
            batch=True,
            group_id=f"{group_prefix}{topic}",
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="none",
            max_records=records_max,
            batch_timeout_ms=_POLL_TIMEOUT_MS,
            max_poll_interval_ms=15 * 60 * 1000,
            listener=subscription,
            parser=_batch_parser,
            decoder=_no_decoder,
        )
        subscriber(_message_handler(subscription))

        def build(subscription: Subscription = subscription, **options: Any) -> PositionedConsumer:  # noqa: ANN401
            consumer = PositionedConsumer(**base.keywords, **options)
            consumer.subscription_of_ours = subscription
            subscription.consumer = consumer
            return consumer

        config.builder = build
        await subscriber.start()
    assert_manual(broker)


def _message_handler(subscription: Subscription) -> Any:  # noqa: ANN401 - FastStream wants a plain function
    async def handle(message: KafkaMessage) -> None:
        await subscription.handle(message)

    return handle


def assert_manual(broker: KafkaBroker) -> None:
    """Raise `RuntimeError` if any subscriber of `broker` would commit by itself; a router's may, in spite of the broker's policy."""
    for subscriber in broker.subscribers:
        options = getattr(subscriber, "_connection_args", {})
        if subscriber.ack_policy is not AckPolicy.MANUAL or options.get("enable_auto_commit"):
            message = f"{subscriber}: acknowledges by itself; make it through start_subscriptions"
            raise RuntimeError(message)
