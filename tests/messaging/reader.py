"""A consumer without a broker: records go straight to the processor, offsets and all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.database.pool import Database
from shared.messaging.handlers import BatchHandler
from shared.messaging.processor import Processor
from tests.messaging.wire import Draft, numbered


class Reader:
    """One topic of the sample service, read from partition 0."""

    def __init__(self, database: Database, topic: str, handler: BatchHandler, **options: Any) -> None:
        """Read `topic` into `database`."""
        self.database = database
        self.topic = topic
        self.processor = Processor(database=database, service="sample", topic=topic, handler=handler, **options)
        self.position = 0

    async def begin(self) -> "Reader":
        """Write down where partition 0 begins, as a subscription does."""
        await self.database.pool.execute(
            "INSERT INTO consumer_offsets VALUES ($1, 0, $2) ON CONFLICT DO NOTHING", self.topic, self.position
        )
        return self

    async def feed(self, *drafts: Draft) -> None:
        """Process `drafts` as one batch."""
        records = [replace(record, topic=self.topic) for record in numbered(drafts, self.position)]
        moved = await self.processor.process(records, {0: self.position})
        self.position = moved[0]

    async def journal(self) -> list[tuple[str, str]]:
        """Every effect so far: (event id, what)."""
        rows = await self.database.pool.fetch("SELECT event_id, what FROM journal ORDER BY id")
        return [(row["event_id"], row["what"]) for row in rows]

    async def dead(self) -> list[dict[str, Any]]:
        """Return the dead letters so far."""
        return [dict(row) for row in await self.database.pool.fetch('SELECT * FROM dead_letters ORDER BY topic, "offset"')]

    async def outbox(self, topic: str) -> Sequence[Any]:
        """Return what waits to be sent on `topic` (short name)."""
        return list(
            await self.database.pool.fetch(
                "SELECT * FROM outbox WHERE topic = $1 ORDER BY id", self.database.topic_prefix + topic
            )
        )

    async def unclear(self, key: str) -> bool:
        """Whether `key` is hidden."""
        async with self.database.transaction() as tx:
            return await tx.is_unclear(self.topic, key)

    async def stands(self) -> int | None:
        """Return the stored offset of partition 0."""
        found: int | None = await self.database.pool.fetchval(
            "SELECT next_offset FROM consumer_offsets WHERE topic = $1 AND partition = 0", self.topic
        )
        return found
