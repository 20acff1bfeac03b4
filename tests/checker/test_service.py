"""Whole checkers on a real broker: from the job's record to the result's, whichever of them does it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from uuid_utils import uuid7

import services.checker.workers
from services.checker.adapters.inspector_process import OnProgress
from services.checker.app import build
from services.checker.handlers.check_file import check_file
from services.checker.settings import CheckerSettings
from shared.contracts.checks import CheckCancelled, CheckRequested
from shared.contracts.envelope import encode
from shared.contracts.report import Report
from shared.database.pool import Database
from shared.messaging.service import Service
from shared.settings import SettingsError
from tests.checker.desk import job
from tests.checker.inspectors import Halt, inspector
from tests.messaging.cluster import Cluster, eventually
from tests.messaging.wire import Draft

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def cluster(make_settings: Callable[..., CheckerSettings], topics: str) -> Cluster:
    return Cluster(make_settings().kafka_bootstrap_servers, topics)


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Run them, ready; stop them in order."""
    tasks = [asyncio.create_task(service.run()) for service in services]

    async def ready() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        try:
            return not any([await service.health.not_ready() for service in services])
        except RuntimeError:
            return False

    try:
        await eventually(ready)
        yield
    finally:
        for service in services:
            service.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


def draft(body: CheckRequested | CheckCancelled, sequence: int = 1) -> Draft:
    """The record that publisher would write."""
    headers, value = encode(
        body,
        id=str(uuid7()),
        source="/image-commons/publisher",
        subject=body.image_id,
        time=datetime.now(UTC),
        sequence=sequence,
        correlation_id=f"request-of-{body.check_id}",
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )
    return Draft("check-jobs", body.image_id.encode(), list(headers), value)


async def results(cluster: Cluster) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Headers and data of everything the checkers told."""
    return [
        ({name: value.decode() for name, value in record.headers}, json.loads(record.value))
        for record in await cluster.read("check-results")
    ]


async def told(database: Database, completed: int) -> bool:
    """Whether so many checks are completed and everything is sent."""
    statement = "SELECT count(*) = $1 FROM check_jobs WHERE state = 'completed'"
    if not await database.pool.fetchval(statement, completed):
        return False
    return not await database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)")


async def test_from_the_jobs_record_to_the_results(
    make_settings: Callable[..., CheckerSettings],
    database: Database,
    cluster: Cluster,
    image: Path,
    http: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So that nothing but the commit of a job wakes a worker.
    monkeypatch.setattr(services.checker.workers, "_POLL_S", 600)
    folder = image.parent.parent
    halt = Halt(folder)
    program = f"say(progress={{'phase': 'files', 'done': 1, 'total': 2}})\n{halt.program}"
    settings = make_settings(inspector_command=inspector(folder, program, only=image.name), renew_every_s=0.1)
    counted = "SELECT result_sequence FROM check_jobs WHERE phase IS NOT NULL AND result_sequence > $1"
    async with running(build(settings)):
        await cluster.produce(draft(job("check-1", image)), draft(job("check-1", image), 2))
        await eventually(lambda: database.pool.fetchval(counted, 0))
        halt.go_on()
        await eventually(lambda: told(database, 1))
        sequence = await database.pool.fetchval(counted, 0)
        await cluster.produce(draft(job("check-1", image), 3))
        await eventually(lambda: database.pool.fetchval(counted, sequence))
        await eventually(lambda: told(database, 1))
    found = await results(cluster)
    sequences = [int(headers["ce_sequence"]) for headers, _ in found]
    assert sequences == sorted(set(sequences))
    assert {headers["ce_subject"] for headers, _ in found} == {"img-1"}
    assert {headers["ce_correlationid"] for headers, _ in found} == {"request-of-check-1"}
    assert {headers["traceparent"][:36] for headers, _ in found} == {f"00-{TRACE}-"}
    types = [headers["ce_type"] for headers, _ in found]
    assert types[0] == types[-3] == "org.imagecommons.check.progressed.v1"
    assert types[-2:] == ["org.imagecommons.check.completed.v1"] * 2
    first, again = found[-2][1], found[-1][1]
    assert first == again
    assert first["complete"]
    assert (await http.get(f"/reports/{first['report_id']}")).headers["etag"] == f'"{first["report_sha256"]}"'


class Shared:
    """A check that goes on once both checkers have one in hand; counts who did what."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.by: Counter[str] = Counter()
        self.both = asyncio.Event()

    def of(self, name: str) -> Callable[[CheckRequested, OnProgress], Any]:
        async def check(request: CheckRequested, _: OnProgress) -> Report:
            self.done[request.check_id] += 1
            self.by[name] += 1
            if len(self.by) == 2:
                self.both.set()
            await self.both.wait()
            descriptor = os.open(request.location.removeprefix("file://"), os.O_RDONLY)
            try:
                return await check_file(descriptor, command=("/bin/false",))
            finally:
                os.close(descriptor)

        return check


async def test_two_checkers_share_the_jobs_and_do_each_once(
    make_settings: Callable[..., CheckerSettings], database: Database, cluster: Cluster, images: Path
) -> None:
    (images / "one.img").write_bytes(b"small")
    shared, settings, count = Shared(), make_settings(workers=3), 30
    jobs = [job(f"check-{number}", images / "one.img", image_id=f"img-{number}") for number in range(count)]
    async with running(build(settings, shared.of("one")), build(settings, shared.of("two"))):
        await cluster.produce(*map(draft, jobs))
        await eventually(lambda: told(database, count))
    checks = {body.check_id for body in jobs}
    assert shared.done == dict.fromkeys(checks, 1)
    assert set(shared.by) == {"one", "two"}
    assert await database.pool.fetchval("SELECT count(*) FROM check_jobs WHERE claim_number <> 1") == 0
    assert Counter(data["check_id"] for _, data in await results(cluster)) == dict.fromkeys(checks, 1)
    assert await database.pool.fetchval("SELECT count(*) FROM reports") == count


@pytest.mark.usefixtures("database", "cluster")
async def test_a_checker_whose_inspector_is_not_confined_does_not_start(
    make_settings: Callable[..., CheckerSettings], image: Path
) -> None:
    begin = {"version": "1", "confinement": ["NOT only reading system calls (seccomp): no libseccomp"]}
    program = f"say(begin={begin!r})\nsys.exit(1)"
    command = inspector(image.parent.parent, program)
    with pytest.raises(SettingsError, match="cannot be confined on this system: only reading system calls"):
        await build(make_settings(inspector_command=command)).run()
    async with running(build(make_settings(inspector_command=command, allow_unconfined=True))):
        pass
