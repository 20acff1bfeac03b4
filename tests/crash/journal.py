"""Everything the system said, as a foreign reader sees it, and what must be true of it."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic_core import from_json

PREFIX: Final = "imagecommons."
TOPICS: Final = ("image-events", "account-events", "instance-events", "check-jobs", "check-results", "dead-letters")
PARTITIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Heard:
    """One record: its CloudEvents attributes and its body."""

    topic: str
    key: str
    id: str
    source: str
    type: str
    sequence: int
    correlation_id: str | None
    body: dict[str, Any]


@dataclass(slots=True)
class Journal:
    """Reads all topics from the beginning, for as long as it is open; records are kept once per identity, in log order."""

    heard: list[Heard] = field(default_factory=list)
    repeated: int = 0
    _identities: dict[tuple[str, str], Heard] = field(default_factory=dict)
    _by_correlation: defaultdict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    _grew: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, bootstrap_servers: str) -> None:
        """Read until cancelled, through any failure of the broker."""
        positions: dict[TopicPartition, int] = {}
        while True:
            try:
                await self._read(bootstrap_servers, positions)
            except (KafkaError, OSError):
                await asyncio.sleep(0.2)

    async def _read(self, bootstrap_servers: str, positions: dict[TopicPartition, int]) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(PREFIX + topic, number) for topic in TOPICS for number in range(PARTITIONS)])
            for partition, position in positions.items():
                consumer.seek(partition, position)
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                    for record in records:
                        self._take(record)
                    positions[partition] = records[-1].offset + 1
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        headers = {name: value.decode() for name, value in record.headers}
        heard = Heard(
            topic=record.topic.removeprefix(PREFIX),
            key=record.key.decode(),
            id=headers["ce_id"],
            source=headers["ce_source"],
            type=headers["ce_type"].removeprefix("org.imagecommons.").removesuffix(".v1"),
            sequence=int(headers.get("ce_sequence", "0")),
            correlation_id=headers.get("ce_correlationid"),
            body=from_json(record.value),
        )
        first = self._identities.setdefault((heard.source, heard.id), heard)
        if first is not heard:
            assert first == heard, f"one identity, two contents: {first} and {heard}"
            self.repeated += 1
            return
        self.heard.append(heard)
        if heard.correlation_id is not None:
            self._by_correlation[heard.correlation_id].append(heard)
        self._grew.set()

    def answers(self, request_id: str) -> list[Heard]:
        """Return every event that answers the request, progress (`publication.checking`, `image.tagged`) left out."""
        progress = {"publication.checking", "image.tagged"}
        return [heard for heard in self._by_correlation[request_id] if heard.type not in progress]

    def said(self, request_id: str, kind: str) -> list[Heard]:
        """Return the events of type `kind` that the request caused."""
        return [heard for heard in self._by_correlation[request_id] if heard.type == kind]

    async def answer(self, request_id: str, timeout_s: float) -> Heard:
        """Wait for the answer to a request."""
        async with asyncio.timeout(timeout_s):
            while not (found := self.answers(request_id)):
                self._grew.clear()
                await self._grew.wait()
        return found[0]

    def assert_orderly(self) -> None:
        """Each key's sequences grow from record to record; nothing was dead-lettered; each request was answered once."""
        last: dict[tuple[str, str], int] = {}
        for heard in self.heard:
            assert heard.topic != "dead-letters", f"dead letter: {heard.body}"
            if not heard.topic.endswith("-events"):
                continue
            before = last.get((heard.topic, heard.key), 0)
            assert heard.sequence > before, f"{heard.topic} {heard.key}: {heard.type} {heard.sequence} after {before}"
            last[heard.topic, heard.key] = heard.sequence
        for request_id in list(self._by_correlation):
            answers = self.answers(request_id)
            assert len(answers) == 1, f"{request_id}: answered {[answer.type for answer in answers]}"
