"""Timers: rows that come due by the database's clock, done once."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import JsonValue

from shared.database.pool import Database
from shared.database.transaction import Timer, Transaction
from shared.messaging.timers import Timers
from tests.messaging.sample import note, remind


async def _schedule(database: Database, key: str, *, in_s: float = 0, **payload: JsonValue) -> None:
    async with database.transaction() as tx:
        await tx.schedule("remind", key, due_at=tx.now + timedelta(seconds=in_s), payload=payload)


async def _reminded(database: Database) -> list[str]:
    return [row["key"] for row in await database.pool.fetch("SELECT key FROM journal ORDER BY id")]


@pytest.fixture
def timers(database: Database) -> Timers:
    return Timers(database, "sample", {"remind": remind})


async def test_due_once_and_not_before(database: Database, timers: Timers) -> None:
    await _schedule(database, "now")
    await _schedule(database, "later", in_s=60)
    assert await timers.turn() == 1
    assert await timers.turn() == 0
    assert await _reminded(database) == ["now"]


async def test_a_timer_outlives_its_process(database: Database) -> None:
    await _schedule(database, "a", in_s=60)
    await database.pool.execute("UPDATE timers SET due_at = now()")
    assert await Timers(database, "sample", {"remind": remind}).turn() == 1


async def test_setting_it_again_moves_it(database: Database, timers: Timers) -> None:
    await _schedule(database, "a")
    await _schedule(database, "a", in_s=60)
    assert await timers.turn() == 0
    assert await database.pool.fetchval("SELECT count(*) FROM timers") == 1


async def test_one_that_sets_itself_anew_stays_set(database: Database, timers: Timers) -> None:
    await _schedule(database, "a", repeat=True)
    assert await timers.turn() == 1
    assert await timers.turn() == 0
    assert await _reminded(database) == ["a"]
    assert await database.pool.fetchval("SELECT due_at > now() + interval '59 min' FROM timers")


@pytest.mark.parametrize("meanwhile", ["cancelled", "moved"])
async def test_cancelled_or_moved_while_its_handler_runs_leaves_nothing(database: Database, meanwhile: str) -> None:
    async def handler(tx: Transaction, timer: Timer) -> None:
        await note(tx, "x", timer.key, "reminded")
        async with database.transaction() as other:
            if meanwhile == "cancelled":
                await other.cancel_timer(timer.kind, timer.key)
            else:
                await other.schedule(timer.kind, timer.key, due_at=other.now + timedelta(hours=1), payload={})

    await _schedule(database, "a")
    assert await Timers(database, "sample", {"remind": handler}).turn() == 0
    assert await _reminded(database) == []


async def test_two_processes_at_once_do_each_timer_once(database: Database) -> None:
    for number in range(20):
        await _schedule(database, f"k{number}")
    done = await asyncio.gather(*(Timers(database, "sample", {"remind": remind}).turn() for _ in range(2)))
    assert sum(done) == 20
    assert sorted(await _reminded(database)) == sorted(f"k{number}" for number in range(20))


async def test_one_that_fails_stays_and_holds_up_no_other(database: Database) -> None:
    async def handler(tx: Transaction, timer: Timer) -> None:
        if timer.key == "bad":
            message = "no"
            raise LookupError(message)
        await note(tx, "x", timer.key, "reminded")

    await _schedule(database, "bad", in_s=-10)
    await _schedule(database, "good")
    with pytest.raises(LookupError):
        await Timers(database, "sample", {"remind": handler}).turn()
    assert await _reminded(database) == ["good"]
    assert await database.pool.fetchval("SELECT key FROM timers") == "bad"


async def test_a_kind_nobody_handles_waits(database: Database) -> None:
    await _schedule(database, "a")
    assert await Timers(database, "sample", {"other": remind}).turn() == 0
    assert await database.pool.fetchval("SELECT count(*) FROM timers") == 1
