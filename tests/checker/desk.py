"""Driving a checker: jobs in through its real consumer, its workers turn by turn, events out of the outbox."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from services.checker.adapters.jobs import Claim, claim_job
from services.checker.app import build
from services.checker.settings import CheckerSettings
from services.checker.workers import Check, Workers
from shared.contracts.checks import CheckCancelled, CheckRequested
from shared.contracts.content_version import content_version_of
from shared.database.pool import Database
from shared.health import Health
from shared.messaging.records import Record
from shared.messaging.service import Service
from tests.catalog.services import Reader
from tests.catalog.states import REGION, Log
from tests.messaging.cluster import eventually

_LATER = "SELECT lease_until FROM check_jobs WHERE lease_until > COALESCE($1::timestamptz, '-infinity')"


@dataclass(frozen=True)
class Told:
    """An event as it waits to be sent."""

    type: str
    key: str
    sequence: int
    correlation_id: str | None
    data: dict[str, Any]

    @property
    def error(self) -> str:
        """Why the check is not complete; fails the test where it is, or says nothing."""
        assert (self.type, self.data["complete"]) == ("check.completed", False)
        assert self.data["error"]
        return str(self.data["error"])


def job(check_id: str = "check-1", image: Path | str = "/nowhere", **given: Any) -> CheckRequested:
    """A job, by default for `image` as it is now."""
    known = isinstance(image, Path) and image.exists()
    values = {
        "check_id": check_id,
        "publication_id": "pub-1",
        "image_id": "img-1",
        "region": REGION,
        "name": "my-image",
        "location": image.as_uri() if isinstance(image, Path) else f"file://{image}",
        "content_version": content_version_of(image.stat()) if known else "v1",  # type: ignore[union-attr]
        "deadline_at": datetime(2030, 1, 1, tzinfo=UTC),
        **given,
    }
    return CheckRequested.model_validate(values, strict=False)


class Desk:
    """A checker without a broker."""

    def __init__(self, database: Database, settings: CheckerSettings, check: Check | None = None) -> None:
        self.database, self.settings = database, settings
        self.service = build(settings, check)
        self.reader = Reader(database, "check-jobs", self.service.consumes[0].handler)
        self.log = Log("check-jobs")
        self.workers = _workers_of(self.service)
        # What `run` would open: its loops need no more.
        self.service._database, self.service._health = database, Health(stalled_after_s=60)
        self._seen = 0

    def record(self, body: CheckRequested | CheckCancelled, *, sequence: int = 1, **more: Any) -> Record:
        """The next record of a job or a cancel."""
        return self.log.record(body, body.image_id, sequence=sequence, **{"correlation_id": "request-1", **more})

    async def ask(self, *bodies: CheckRequested | CheckCancelled, **more: Any) -> None:
        """Jobs and cancels, each an event of its own, in one batch."""
        await self.reader.feed(*(self.record(body, **more) for body in bodies))
        dead = await self.database.pool.fetch("SELECT reason_text FROM dead_letters")
        assert not dead, [dict(row) for row in dead]

    async def turn(self) -> bool:
        """Have a worker claim one job and do it; returns whether there was one."""
        return await self.workers._turn(self.database, lambda: None)

    async def check(self, body: CheckRequested) -> Told:
        """Ask for a check, have it done; returns its result."""
        await self.ask(body)
        assert await self.turn()
        return (await self.told())[-1]

    async def claim(self) -> Claim:
        """Claim a job, as a worker does."""
        async with self.database.transaction() as tx:
            claim = await claim_job(tx, self.settings.lease_s)
        assert claim is not None
        return claim

    async def lease_runs_out(self) -> None:
        """Let the lease of every claim be over, by the only clock that counts."""
        await self.database.pool.execute("UPDATE check_jobs SET lease_until = clock_timestamp() - interval '1 second'")

    async def renewed(self, times: int) -> None:
        """Wait until the one claim there is was renewed so often."""
        last = None
        for _ in range(times + 1):
            last = await eventually(partial(self.database.pool.fetchval, _LATER, last))

    async def told(self) -> list[Told]:
        """What was emitted since the last call."""
        rows = await self.database.pool.fetch("SELECT * FROM outbox WHERE id > $1 ORDER BY id", self._seen)
        found = []
        for row in rows:
            assert row["topic"] == f"{self.database.topic_prefix}check-results"
            headers = json.loads(row["headers"])
            name = headers["ce_type"].removeprefix("org.imagecommons.").removesuffix(".v1")
            sequence, correlation_id = int(headers["ce_sequence"]), headers.get("ce_correlationid")
            found.append(Told(name, row["key"], sequence, correlation_id, json.loads(row["value"])))
            self._seen = row["id"]
        return found

    async def states(self) -> dict[str, str]:
        """The state of every job."""
        rows = await self.database.pool.fetch("SELECT check_id, state FROM check_jobs ORDER BY check_id")
        return {row["check_id"]: row["state"] for row in rows}

    async def count(self, table: str) -> int:
        return int(await self.database.pool.fetchval(f"SELECT count(*) FROM {table}"))


def _workers_of(service: Service) -> Workers:
    workers = getattr(service.tasks[0], "__self__", None)
    assert isinstance(workers, Workers)
    return workers
