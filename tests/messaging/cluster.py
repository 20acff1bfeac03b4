"""The broker as the tests see it: topics of their own, records written as a stranger would, offsets looked at."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from shared.contracts.topics import PARTITIONS
from tests.messaging.wire import Draft

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], *, within_s: float = 20.0) -> T:
    """Return what `look` finds once that is true; raises `TimeoutError` with the last finding."""
    end = time.monotonic() + within_s
    while True:
        found = await look()
        if found:
            return found
        if time.monotonic() > end:
            message = f"not within {within_s} s; last found: {found!r}"
            raise TimeoutError(message)
        await asyncio.sleep(0.02)


class Cluster:
    """A broker at `address`; every topic and group has `prefix` before its name."""

    def __init__(self, address: str, prefix: str) -> None:
        """Use the broker at `address`."""
        self.address, self.prefix = address, prefix

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Yield an admin client."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def create(self, *topics: str, partitions: int = PARTITIONS) -> None:
        """Make `topics` (short names) and wait until each has leaders."""
        async with self.admin() as admin:
            answer = await admin.create_topics([NewTopic(self.prefix + topic, partitions, 1) for topic in topics])
            assert [error[1] for error in answer.topic_errors] == [0] * len(topics), answer

            async def led() -> bool:
                found = await admin.describe_topics([self.prefix + topic for topic in topics])
                return all(
                    len(topic["partitions"]) == partitions and all(part["leader"] >= 0 for part in topic["partitions"])
                    for topic in found
                )

            await eventually(led)

    async def delete(self, *topics: str) -> None:
        """Delete `topics` and wait until they are gone."""
        async with self.admin() as admin:
            await admin.delete_topics([self.prefix + topic for topic in topics])

            async def gone() -> bool:
                return not {self.prefix + topic for topic in topics} & set(await admin.list_topics())

            await eventually(gone)

    async def forget(self, topic: str, before: dict[int, int]) -> None:
        """Delete the records of `topic` before an offset per partition, as retention would."""
        async with self.admin() as admin:
            await admin.delete_records(
                {TopicPartition(self.prefix + topic, place): RecordsToDelete(offset) for place, offset in before.items()}
            )

    async def topics(self) -> set[str]:
        """Return the short names of this test's topics."""
        async with self.admin() as admin:
            return {name.removeprefix(self.prefix) for name in await admin.list_topics() if name.startswith(self.prefix)}

    async def produce(self, *drafts: Draft, partition: int | None = None) -> None:
        """Write `drafts`, in order."""
        producer = AIOKafkaProducer(bootstrap_servers=self.address, acks="all", enable_idempotence=True)
        try:
            await producer.start()
            sent = [
                await producer.send(
                    self.prefix + draft.topic, draft.value, key=draft.key, headers=draft.headers, partition=partition
                )
                for draft in drafts
            ]
            await asyncio.gather(*sent)
        finally:
            await asyncio.shield(producer.stop())

    @asynccontextmanager
    async def _consumer(self, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        partitions = [TopicPartition(self.prefix + topic, number) for number in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            yield consumer, partitions
        finally:
            await consumer.stop()

    async def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of `topic` ends."""
        async with self._consumer(topic) as (consumer, partitions):
            return {place.partition: end for place, end in (await consumer.end_offsets(partitions)).items()}

    async def read(self, topic: str) -> list["ConsumerRecord[bytes, bytes]"]:
        """Everything on `topic`, by partition."""
        found: list[ConsumerRecord[bytes, bytes]] = []
        async with self._consumer(topic) as (consumer, partitions):
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(partitions)
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found.extend(records)
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the offsets the broker knows of `group` (short name)."""
        async with self.admin() as admin:
            found = await admin.list_consumer_group_offsets(self.prefix + group)
        return {
            place.partition: entry.offset
            for place, entry in found.items()
            if place.topic == self.prefix + topic and entry.offset >= 0
        }

    async def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Set the offsets of `group`, as another tool might."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=self.prefix + group, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(self.prefix + topic, partition) for partition in offsets])
            await consumer.commit({TopicPartition(self.prefix + topic, place): offset for place, offset in offsets.items()})
        finally:
            await consumer.stop()
