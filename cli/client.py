"""A client of the contracts: sends facts and requests, waits for a request's one answer by its correlation id."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from uuid_utils import uuid7

from cli.errors import CommandError, ExitCode
from shared.contracts.envelope import Event, Undecodable, decode, encode
from shared.contracts.registry import event_type_of
from shared.messaging.partitions import partition_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cli.connection import Endpoints

SOURCE = "urn:imagecommons:cli"
CONNECT_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 15.0
SCAN_TIMEOUT_S = 30.0
POLL_MS = 200
POLL_RECORDS_MAX = 500

Progress = Callable[[Event[Any]], None]

# aiokafka tells every failed connection attempt on its own logger; the commands say it once, in their own words.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
logging.getLogger("aiokafka").propagate = False


def readable(error: BaseException) -> str:
    """Return what a Kafka client's error means, without its class names and wrappings."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, KafkaConnectionError) or "KafkaConnectionError" in str(error):
        return "nothing there accepts connections as a Kafka broker does"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Answer:
    """A request's answer: `request_id` is the request's identity, `event` what a service said to it."""

    request_id: str
    event: Event[Any]
    waited_s: float


@dataclass(frozen=True, slots=True)
class Following:
    """Events as they are written."""

    consumer: AIOKafkaConsumer
    decoded: Callable[[Any], Event[Any] | None]

    async def batch(self) -> list[Event[Any]]:
        """Return what was written since, perhaps nothing; waits a moment at most."""
        got = await self.consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
        events = [self.decoded(record) for records in got.values() for record in records]
        return [event for event in events if event is not None]


class Client:
    """A connection to the platform's Kafka; use as an asynchronous context manager.

    Raises:
        CommandError: by every method, when the broker cannot be reached or does not take a record.
    """

    def __init__(self, endpoints: Endpoints, *, source: str = SOURCE) -> None:
        """Prepare a client that writes as the CloudEvents source `source`; connects on entry."""
        self.endpoints = endpoints
        self.source = source
        self.asked_id: str | None = None
        self._producer = AIOKafkaProducer(
            bootstrap_servers=endpoints.kafka, client_id="image-commons-cli", acks="all", enable_idempotence=True
        )

    async def __aenter__(self) -> Self:
        """Connect."""
        self.endpoints.require_kafka_address()
        await self._connected(self._producer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def state(self, fact: BaseModel, *, key: str, sequence: int | None = None) -> str:
        """Send `fact`; return its id once the broker has it on disk.

        Args:
            fact: a fact of the contracts.
            key: the aggregate's id.
            sequence: the row version; microseconds of Unix time by default.
        """
        return await self._send(fact, key=key, sequence=time.time_ns() // 1000 if sequence is None else sequence)

    async def request(self, request: BaseModel, *, key: str) -> str:
        """Send `request` and wait for nothing; return its id."""
        return await self._send(request, key=key)

    async def ask(self, request: BaseModel, *, key: str, timeout_s: float, progress: Progress | None = None) -> Answer:
        """Send `request` and wait for its answer; `asked_id` is its id as soon as the broker has it.

        The key's partitions of the topics that answer are read from where they end before the request is sent, so that no answer
        is missed, whoever is fast.

        Args:
            request: a request of the contracts.
            key: the aggregate's id.
            timeout_s: how long to wait once the broker has the request.
            progress: called with every other event that the request causes.

        Raises:
            CommandError: with exit code 4 if no answer came in time.
        """
        asked = event_type_of(type(request))
        topics = {event_type_of(model).topic for model in asked.answered_by}
        if progress is not None:
            topics.add("check-results")
        async with self.following(topics, key) as events:
            self.asked_id = request_id = await self._send(request, key=key)
            began = time.monotonic()
            try:
                async with asyncio.timeout(timeout_s):
                    event = await _answer(events, request_id, asked.answered_by, progress)
            except TimeoutError as error:
                raise self._no_answer(asked.name, key, request_id, timeout_s) from error
            return Answer(request_id, event, time.monotonic() - began)

    @asynccontextmanager
    async def following(self, topics: set[str], key: str) -> AsyncIterator[Following]:
        """Follow the key's partitions of `topics` (short names) from where they end now."""
        consumer = self._consumer()
        await self._connected(consumer)
        try:
            await self._seek_to_end(consumer, {self.endpoints.topic_prefix + topic for topic in topics}, key)
            yield Following(consumer, self._decoded)
        finally:
            await consumer.stop()

    async def newest(self, topic: str, key: str, accepts: Callable[[Event[Any]], bool] = lambda _: True) -> Event[Any] | None:
        """Return the newest event (highest sequence, the first of equals) about `key` on `topic` (short name); None without any.

        Of those only that `accepts` takes.

        Reads the key's whole partition: for a person's hands, not for a service.
        """
        consumer = self._consumer()
        await self._connected(consumer)
        partition = TopicPartition(self.endpoints.topic_prefix + topic, partition_of(key))
        newest: Event[Any] | None = None
        try:
            await self._require_topics({partition.topic})
            consumer.assign([partition])
            async with asyncio.timeout(SCAN_TIMEOUT_S):
                end = (await consumer.end_offsets([partition]))[partition]
                await consumer.seek_to_beginning(partition)
                while await consumer.position(partition) < end:
                    for record in (await consumer.getmany(timeout_ms=POLL_MS)).get(partition, []):
                        event = self._decoded(record) if record.key == key.encode() else None
                        if (
                            event is not None
                            and accepts(event)
                            and (newest is None or (event.sequence or 0) > (newest.sequence or 0))
                        ):
                            newest = event
        except (KafkaError, TimeoutError) as error:
            raise self._unreachable(error) from error
        finally:
            await consumer.stop()
        return newest

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(bootstrap_servers=self.endpoints.kafka, enable_auto_commit=False, auto_offset_reset="earliest")

    def _decoded(self, record: Any) -> Event[Any] | None:
        """Return the record's event; None for what is not ours to read (a service keeps it as a dead letter)."""
        topic = record.topic.removeprefix(self.endpoints.topic_prefix)
        try:
            return decode(topic, record.key, record.headers, record.value, record.timestamp)
        except Undecodable:
            return None

    async def _seek_to_end(self, consumer: AIOKafkaConsumer, topics: set[str], key: str) -> None:
        await self._require_topics(topics)
        partitions = [TopicPartition(topic, partition_of(key)) for topic in sorted(topics)]
        consumer.assign(partitions)
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(partitions), CONNECT_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            raise self._unreachable(error) from error
        for partition, end in ends.items():
            consumer.seek(partition, end)

    async def _send(self, data: BaseModel, *, key: str, sequence: int | None = None) -> str:
        event_type = event_type_of(type(data))
        topic = self.endpoints.topic_prefix + event_type.topic
        event_id = str(uuid7())
        headers, value = encode(
            data,
            id=event_id,
            source=self.source,
            subject=key,
            time=datetime.now(UTC),
            sequence=sequence,
            correlation_id=None,
            traceparent=None,
        )
        await self._require_topics({topic})
        try:
            sent = self._producer.send_and_wait(topic, value, key=key.encode(), partition=partition_of(key), headers=headers)
            await asyncio.wait_for(sent, SEND_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            raise self._not_sent(error, event_type.name, topic) from error
        return event_id

    async def _require_topics(self, topics: set[str]) -> None:
        """Raise `CommandError` if one of `topics` does not exist: a producer would wait for it in silence."""
        try:
            metadata = await asyncio.wait_for(self._producer.client.fetch_all_metadata(), CONNECT_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            raise self._unreachable(error) from error
        missing = sorted(topics - metadata.topics())
        if missing:
            raise CommandError(
                f"no such topic: {', '.join(missing)}",
                where=self.endpoints.kafka,
                advice="make the topics: image-commons topics apply (or set IMAGE_COMMONS_TOPIC_PREFIX)",
            )

    async def _connected(self, client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
        try:
            await asyncio.wait_for(client.start(), CONNECT_TIMEOUT_S)
        except (KafkaError, OSError, ValueError, TimeoutError) as error:
            await client.stop()
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> CommandError:
        return CommandError(
            "Kafka does not answer",
            where=f"{self.endpoints.kafka} (from {self.endpoints.found})",
            why=readable(error),
            advice="start a local one with `image-commons stack up`, or name yours with --kafka or KAFKA_BOOTSTRAP_SERVERS",
        )

    def _not_sent(self, error: BaseException, type_: str, topic: str) -> CommandError:
        return CommandError(
            f"{type_} was not acknowledged; it may still arrive",
            where=f"{topic} at {self.endpoints.kafka}",
            why=str(error) or type(error).__name__,
            advice="ask again: with the same --client-token nothing happens twice",
        )

    def _no_answer(self, type_: str, key: str, request_id: str, timeout_s: float) -> CommandError:
        return CommandError(
            f"no answer to {type_} within {timeout_s:g} s; it stays asked and may still be done",
            where=f"request id {request_id} (correlation id of its answer), key {key}, partition {partition_of(key)}",
            why="a service is not running, is behind, or could not read the request",
            advice="`image-commons run all` starts the services; `image-commons dead-letters list` shows what could not be read",
            exit_code=ExitCode.NO_ANSWER,
        )


async def _answer(
    events: Following, request_id: str, answers: tuple[type[BaseModel], ...], progress: Progress | None
) -> Event[Any]:
    while True:
        for event in await events.batch():
            if event.correlation_id != request_id:
                continue
            if isinstance(event.data, answers):
                return event
            if progress is not None:
                progress(event)
