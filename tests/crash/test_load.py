"""Under load: killed at random moments, and broker and database away for 30 s."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import httpx
import pytest

from tests.crash.conftest import SUMMARY, Stage
from tests.crash.world import SERVICES, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

AWAY_S: Final = 30.0
_BETWEEN_KILLS_S: Final = (0.5, 4.0)


@asynccontextmanager
async def _load(stage: Stage, name: str, side_by_side: int = 3) -> AsyncIterator[list[str]]:
    """Images live and die, a few at a time, until the context ends; then all of them have come to their end."""
    told: list[str] = []
    stopping = asyncio.Event()

    async def one_after_another(lane: int) -> None:
        while not stopping.is_set():
            told.append(f"{name}-{lane}-{len(told)}")
            await stage.traffic.life(told[-1])

    lanes = [asyncio.create_task(one_after_another(lane)) for lane in range(side_by_side)]
    try:
        yield told
    finally:
        stopping.set()
        await asyncio.gather(*lanes)


async def _assert_books_agree(stage: Stage, told: list[str]) -> None:
    """Every image unpublished, seen by nobody; every instance released, once; nothing waits to be sent."""
    async with httpx.AsyncClient(timeout=10) as client:
        for name in told:
            publications = (await client.get(stage.world.url("publisher", f"/images/img-{name}/publications"))).json()
            assert [one["state"] for one in publications["publications"]] == ["unpublished"], publications
            seen = await client.get(stage.world.url("catalog", f"/images?account_id=s-{name}&region=eu-1"))
            assert seen.json()["images"] == []
            instances = await client.get(stage.world.url("launcher", f"/instances?account_id=s-{name}&region=eu-1"))
            assert [one["state"] for one in instances.json()["instances"]] == ["released"], instances.text


async def test_killed_at_random(stage: Stage, pytestconfig: pytest.Config) -> None:
    chance = random.Random()
    kills: list[str] = []
    async with _load(stage, "random") as told:
        for _ in range(pytestconfig.getoption("--random-kills")):
            await asyncio.sleep(chance.uniform(*_BETWEEN_KILLS_S))
            victim = chance.choice([*SERVICES, "kafka", "postgres"])
            kills.append(victim)
            if victim in SERVICES:
                with suppress(ProcessLookupError):
                    stage.world.processes[victim].send_signal(signal.SIGKILL)
            else:
                stage.world.stack.kill(victim)
    stage.journal.assert_orderly()
    await _assert_books_agree(stage, told)
    SUMMARY.append(f"{len(kills)} kills at random moments ({', '.join(kills)}) while {len(told)} images lived")


async def test_broker_and_database_away(stage: Stage) -> None:
    deaths = dict(stage.world.deaths)
    async with _load(stage, "away") as told:
        await until(lambda: len(told) > 3, True, 60, "load is on")
        # Each is away for 30 s, half of it together: the broker first, the database after it.
        async with AsyncExitStack() as database_away:
            async with stage.world.stack.away("kafka"):
                for service in SERVICES:
                    await until(lambda service=service: stage.world.readiness(service), 503, 30, f"{service} is not ready")
                await asyncio.sleep(AWAY_S / 2)
                await database_away.enter_async_context(stage.world.stack.away("postgres"))
                await asyncio.sleep(AWAY_S / 2)
            await asyncio.sleep(AWAY_S / 2)
            for service in SERVICES:
                assert await stage.world.readiness(service) == 503
        await stage.world.until_ready()
    assert stage.world.deaths == deaths
    stage.journal.assert_orderly()
    await _assert_books_agree(stage, told)
