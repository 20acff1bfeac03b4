"""The workers' loops: whatever fails in a turn, they go on, and do what is left to do when they can again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import services.checker.workers
from services.checker.adapters.inspector_process import OnProgress
from services.checker.adapters.jobs import queue_state
from shared.contracts.checks import CheckRequested
from shared.contracts.report import Report
from tests.checker.desk import Desk, job
from tests.messaging.cluster import eventually


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_RETRY_S", "_POLL_S", "_MEASURE_EVERY_S"):
        monkeypatch.setattr(services.checker.workers, pause, 0.01)


@asynccontextmanager
async def at_work(desk: Desk) -> AsyncIterator["asyncio.Task[None]"]:
    """Yield the workers' loops, running."""
    working = asyncio.create_task(desk.workers.run(desk.service))
    try:
        yield working
    finally:
        working.cancel()
        await asyncio.wait([working])


@asynccontextmanager
async def closed(desk: Desk) -> AsyncIterator[None]:
    """The database takes nobody in, and throws out who is there."""
    name = f"{desk.settings.database_prefix}checker"
    admin = await asyncpg.connect(desk.settings.admin_dsn())
    try:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await admin.close()


async def test_workers_outlive_an_outage_of_the_database(desk: Desk, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0

    async def count_and_measure(pool: Any, *, timeout_s: float) -> tuple[int, float]:
        nonlocal measured
        measured += 1
        return await queue_state(pool, timeout_s=timeout_s)

    monkeypatch.setattr(services.checker.workers, "queue_state", count_and_measure)
    async with at_work(desk) as working:
        async with closed(desk):
            before = measured

            async def noticed() -> bool:
                return working.done() or measured > before + 2

            await eventually(noticed)
        assert not working.done()
        await desk.ask(job(image=images / "missing"))
        await eventually(desk.told)


async def test_a_job_that_breaks_its_worker_is_tried_again_and_given_up(desk: Desk, images: Path) -> None:
    tries: list[str] = []

    async def broken(request: CheckRequested, _: OnProgress) -> Report:
        tries.append(request.check_id)
        message = "what nobody thought of"
        raise RuntimeError(message)

    worker = Desk(desk.database, desk.settings, broken)
    await desk.ask(job(image=images / "missing"))

    async def told() -> list[Any]:
        await desk.lease_runs_out()
        return await desk.told()

    async with at_work(worker):
        (given_up,) = await eventually(told)
    assert given_up.error == "the check was given up after 3 tries"
    assert tries == ["check-1"] * 3
