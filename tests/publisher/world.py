"""A publisher without a broker: records go through the real consumers' transactions, events come out of the outbox."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from uuid_utils import uuid7

from services.publisher.app import topic_handlers
from services.publisher.handlers.check_results import CheckSilent
from services.publisher.handlers.checks import CHECK_TIMER, CheckLimits
from shared.contracts.checks import CheckProgressed
from shared.contracts.envelope import encode
from shared.contracts.registry import event_type_of
from shared.contracts.requests import (
    PermitRequested,
    PublishRequested,
    ShareRequested,
    TakeDownLiftRequested,
    TakeDownRequested,
    UnpublishRequested,
    UnshareRequested,
)
from shared.contracts.topics import PARTITIONS, TOPICS
from shared.database.pool import Database
from shared.messaging.parked import ParkedRequests
from shared.messaging.partitions import partition_of
from shared.messaging.processor import Processor
from shared.messaging.records import Record
from shared.messaging.timers import Timers
from shared.policy import Policy, shipped_policy
from tests.publisher.values import DESCRIPTION, FRIEND, NAME, OWNER, REGION, STRANGER, account_fact, image_fact, result

LIMITS = CheckLimits(deadline=timedelta(hours=24), silence=timedelta(minutes=5))
POLICY = shipped_policy("gate")
READS = ("image-facts", "account-facts", "publication-requests", "operator-requests", "check-results")
REQUESTS: dict[str, type[BaseModel]] = {
    "publish": PublishRequested,
    "unpublish": UnpublishRequested,
    "share": ShareRequested,
    "unshare": UnshareRequested,
    "permit": PermitRequested,
    "take-down": TakeDownRequested,
    "take-down-lift": TakeDownLiftRequested,
}


@dataclass(frozen=True)
class Told:
    """An event as it waits to be sent."""

    topic: str
    type: str
    key: str
    sequence: int
    request_id: str | None
    data: dict[str, Any]

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data["state"]
        return found

    @property
    def change(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data["change"]
        return found

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.change.get("problems", ())]


class World:
    """One publisher's readers, timers and parked requests, on a real database."""

    def __init__(self, database: Database, policy: Policy = POLICY) -> None:
        self.database = database
        self.policy = policy
        self.handlers = topic_handlers(LIMITS, policy)
        self.positions: dict[str, dict[int, int]] = {topic: defaultdict(int) for topic in READS}
        self.processors = {
            topic: Processor(
                database=database, service="publisher", topic=topic, handler=self.handlers[topic], end_offsets=self._ends
            )
            for topic in READS
        }
        self.unread: set[tuple[str, int]] = set()
        """Topics and partitions that hold one record more than was fed, as far as parking is concerned."""
        self._sequence = 0
        self._seen = 0

    async def begin(self) -> "World":
        rows = [(topic, partition, 0) for topic in READS for partition in range(PARTITIONS)]
        await self.database.pool.executemany("INSERT INTO consumer_offsets VALUES ($1, $2, $3)", rows)
        return self

    async def _ends(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        return {partition: self.positions[topic][partition] + ((topic, partition) in self.unread) for partition in partitions}

    def record(
        self,
        data: BaseModel,
        key: str,
        *,
        identity: str | None = None,
        sequence: int | None = None,
        age: timedelta = timedelta(0),
    ) -> Record:
        """The next record of its topic."""
        topic = event_type_of(type(data)).topic
        if sequence is None and (TOPICS[topic].sequenced or TOPICS[topic].kind == "results"):
            self._sequence += 1
            sequence = self._sequence
        headers, value = encode(
            data, id=identity or str(uuid7()), source=f"/tests/{topic}", subject=key, time=datetime.now(UTC), sequence=sequence
        )
        timestamp_ms = int((datetime.now(UTC) - age).timestamp() * 1000)
        return Record(topic, partition_of(key), 0, key.encode(), headers, value, timestamp_ms)

    async def feed(self, *records: Record) -> None:
        """Process records of one topic as one batch."""
        topic = records[0].topic
        ends = self.positions[topic]
        start = {record.partition: ends[record.partition] for record in records}
        placed = []
        for record in records:
            placed.append(
                Record(
                    topic, record.partition, ends[record.partition], record.key, record.headers, record.value, record.timestamp_ms
                )
            )
            ends[record.partition] += 1
        await self.processors[topic].process(placed, start)
        dead = await self.database.pool.fetch("SELECT reason_code, reason_text FROM dead_letters")
        assert not dead, [dict(row) for row in dead]

    async def state(self, *facts: BaseModel) -> None:
        """Facts, one after the other."""
        for fact in facts:
            key = getattr(fact, "image_id", None) or getattr(fact, "account_id", "")
            await self.feed(self.record(fact, key))

    def request(
        self,
        what: str,
        key: str = "img-1",
        *,
        by: str = OWNER,
        kind: str | None = None,
        identity: str | None = None,
        age: timedelta = timedelta(0),
        **given: Any,
    ) -> Record:
        """A request's record; operators ask for what is theirs to ask for unless `kind` says otherwise."""
        model = REQUESTS[what]
        if kind is None:
            kind = "operator" if event_type_of(model).topic == "operator-requests" else "account"
        about = "account_id" if what == "permit" else "image_id"
        if what == "permit":
            given.setdefault("ticket", "T-1")
        if what == "take-down":
            given.setdefault("reason", "malware")
        if what == "publish":
            given = {"name": NAME, "description": DESCRIPTION, **given}
        data = {"actor": {"kind": kind, "id": by}, "region": REGION, about: key, **given}
        return self.record(model.model_validate(data, strict=False), key, identity=identity, age=age)

    async def ask(self, what: str, key: str = "img-1", **given: Any) -> Told:
        """Send a request; returns the one event that has its id."""
        record = self.request(what, key, identity=str(uuid7()), **given)
        await self.feed(record)
        return await self.answer_to(record)

    async def answer_to(self, record: Record) -> Told:
        request_id = dict(record.headers)["ce_id"].decode()  # type: ignore[union-attr]
        (answer,) = [told for told in await self.told() if told.request_id == request_id]
        return answer

    async def told(self) -> list[Told]:
        """What was emitted since the last call."""
        rows = await self.database.pool.fetch("SELECT * FROM outbox WHERE id > $1 ORDER BY id", self._seen)
        found = []
        for row in rows:
            headers = json.loads(row["headers"])
            name = headers["ce_type"].removeprefix("org.imagecommons.").removesuffix(".v1")
            topic = row["topic"].removeprefix(self.database.topic_prefix)
            sequence = int(headers["ce_sequence"])
            found.append(Told(topic, name, row["key"], sequence, headers.get("ce_correlationid"), json.loads(row["value"])))
            self._seen = row["id"]
        return found

    async def types(self) -> list[str]:
        return [told.type for told in await self.told()]

    async def vendor(self) -> None:
        """Accounts are known, the vendor has its permission and its image; nothing of it left to read."""
        await self.state(account_fact(), account_fact(FRIEND), account_fact(STRANGER), image_fact())
        await self.ask("permit", OWNER)

    async def check_begun(self, image_id: str = "img-1", **given: Any) -> dict[str, Any]:
        """Ask to publish; returns the check's job."""
        await self.feed(self.request("publish", image_id, **given))
        return (await self.job())[-1]

    async def job(self) -> list[dict[str, Any]]:
        return [told.data for told in await self.told() if told.type == "check.requested"]

    async def check_done(self, job: dict[str, Any], **different: Any) -> list[Told]:
        """The check ends, well unless `different` says otherwise; returns what is told of it."""
        given = {"check_id": job["check_id"], "image_id": job["image_id"], "content_version": job["content_version"]}
        await self.feed(self.record(result(**{**given, **different}), job["image_id"]))
        return await self.told()

    async def check_progressed(self, job: dict[str, Any]) -> None:
        progress = CheckProgressed(check_id=job["check_id"], image_id=job["image_id"], phase="digest", done=1, total=2)
        await self.feed(self.record(progress, job["image_id"]))

    async def published(self, image_id: str = "img-1") -> Told:
        """Have an image published."""
        (*_, answer) = await self.check_done(await self.check_begun(image_id))
        assert answer.type == "image.published"
        return answer

    async def timers_due(self) -> int:
        """Let every timer come due; returns how many were done."""
        await self.database.pool.execute("UPDATE timers SET due_at = now()")
        return await Timers(self.database, "publisher", {CHECK_TIMER: CheckSilent(LIMITS, self.policy)}).turn()

    async def deadline_passes(self) -> None:
        await self.database.pool.execute("UPDATE publications SET deadline_at = now() WHERE state = 'checking'")

    async def waiting_is_over(self) -> int:
        """Take parked requests up; returns how many."""
        await self.database.pool.execute("UPDATE parked_requests SET not_before = now()")
        return await ParkedRequests(self.database, "publisher", self.handlers).turn()

    async def reads_on(self) -> None:
        """Read what was left unread: nothing that means anything here."""
        for topic, partition in self.unread:
            self.positions[topic][partition] += 1
            await self.database.pool.execute(
                "UPDATE consumer_offsets SET next_offset = next_offset + 1 WHERE topic = $1 AND partition = $2", topic, partition
            )
        self.unread.clear()

    async def count(self, table: str) -> int:
        return int(await self.database.pool.fetchval(f"SELECT count(*) FROM {table}"))
