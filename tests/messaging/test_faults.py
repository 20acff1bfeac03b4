"""Four kinds of errors: undecodable, transient, our own fault, and business refusals (which are no errors at all)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError

from shared.contracts.envelope import Event
from shared.database.pool import Database
from shared.database.transaction import Transaction
from shared.messaging import processor
from shared.messaging.failed_share import Halted
from shared.messaging.processor import Interrupted
from tests.messaging.reader import Reader
from tests.messaging.sample import accounts, keep_account, swallow
from tests.messaging.wire import fact


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_BACKOFF_FIRST_S", 0.001)


async def test_one_failing_record_in_500_is_found_and_the_others_are_applied(facts: Reader) -> None:
    drafts = [fact(f"acc-{number}") for number in range(500)]
    drafts[321] = fact("acc-321", name="fail")
    await facts.feed(*drafts)
    dead = await facts.dead()
    assert [(row["reason_code"], row["key"], row["offset"]) for row in dead] == [("handler_failed", b"acc-321", 321)]
    assert "LookupError: the handler cannot take this one" in dead[0]["reason_text"]
    assert await facts.database.pool.fetchval("SELECT count(*) FROM accounts WHERE applied = 1") == 499
    assert len(await facts.journal()) == 499
    assert await facts.stands() == 500
    assert await facts.unclear("acc-321")


async def test_a_value_the_database_refuses_is_found_too(database: Database) -> None:
    async def handler(tx: Transaction, events: Sequence[Event[Any]]) -> None:
        for event in events:
            # A number beyond bigint never reaches the server: the client refuses it, with no SQLSTATE.
            number = 2**70 if event.data.display_name == "big" else 1
            await tx.connection.execute("SELECT $1::bigint", number)

    reader = await Reader(database, "account-facts", handler).begin()
    await asyncio.wait_for(reader.feed(fact("a"), fact("b", name="big"), fact("c")), 10)
    assert [row["key"] for row in await reader.dead()] == [b"b"]
    assert await reader.stands() == 3


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.ReadOnlySQLTransactionError("standby"),
        asyncpg.LockNotAvailableError("lock"),
        asyncpg.InsufficientResourcesError("memory"),
        asyncpg.InterfaceError("connection is closed"),
        ConnectionResetError("reset"),
        KafkaConnectionError("broker away"),
    ],
)
async def test_a_transient_failure_never_makes_a_dead_letter(database: Database, error: Exception) -> None:
    tries: list[str | None] = []
    told: list[str | None] = []

    async def handler(tx: Transaction, events: Sequence[Event[Any]]) -> None:
        tries.append(None)
        if len(tries) < 5:
            raise error
        for event in events:
            await keep_account(tx, event)

    reader = await Reader(database, "account-facts", handler, on_retry=told.append).begin()
    await reader.feed(fact("a"), fact("b"))
    assert len(tries) == 5
    assert await reader.dead() == []
    assert len(await reader.journal()) == 2
    assert type(error).__name__ in (told[0] or "")
    assert told[-1] is None


async def test_no_record_is_blamed_while_the_database_takes_no_writes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[int] = []
    failing = True

    async def probe_write() -> None:
        nonlocal failing
        probes.append(1)
        if len(probes) < 6:
            message = "cannot execute INSERT in a read-only transaction"
            raise asyncpg.ReadOnlySQLTransactionError(message)
        failing = False

    async def handler(tx: Transaction, events: Sequence[Event[Any]]) -> None:
        if failing:
            message = "looks like our fault"
            raise LookupError(message)
        for event in events:
            await keep_account(tx, event)

    monkeypatch.setattr(database, "probe_write", probe_write)
    reader = await Reader(database, "account-facts", handler).begin()
    await reader.feed(fact("a"))
    assert await reader.dead() == []
    assert len(await reader.journal()) == 1


async def test_too_large_a_share_of_our_own_failures_stops_the_consumer(database: Database) -> None:
    reader = await Reader(database, "account-facts", accounts(), failed_share_max=0.1).begin()
    await reader.feed(*[fact(f"good-{number}") for number in range(50)])
    with pytest.raises(Halted, match="failed by our own fault"):
        await reader.feed(*[fact(f"bad-{number}", name="fail") for number in range(50)])
    dead = await reader.dead()
    assert 10 <= len(dead) <= 30
    # What stopped the consumer is still there to be read by the next, mended release.
    assert await reader.stands() == 50 + len(dead)


async def test_poison_from_outside_never_stops_the_consumer(facts: Reader) -> None:
    await facts.feed(*[fact(f"acc-{number}").with_value(b"{") for number in range(200)])
    await facts.feed(fact("fine"))
    assert len(await facts.dead()) == 200
    assert len(await facts.journal()) == 1


async def test_a_stop_ends_the_waiting_for_a_database_that_is_away(database: Database) -> None:
    async def handler(_tx: Transaction, _events: Sequence[Event[Any]]) -> None:
        message = "away"
        raise ConnectionResetError(message)

    reader = await Reader(database, "account-facts", handler).begin()
    feeding = asyncio.create_task(reader.feed(fact("a")))
    reader.processor.stopping.set()
    with pytest.raises(Interrupted):
        await asyncio.wait_for(feeding, 5)
    assert await reader.stands() == 0
    assert await reader.database.pool.fetchval("SELECT count(*) FROM inbox") == 0


async def test_a_batch_nobody_wants_still_moves_on(database: Database) -> None:
    reader = await Reader(database, "account-facts", swallow).begin()
    await reader.feed(fact("a"), fact("b"))
    assert await reader.stands() == 2
