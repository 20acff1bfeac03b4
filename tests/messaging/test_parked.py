"""Requests that overtook the facts they need wait for them, in order, and not for ever."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.envelope import Event
from shared.contracts.requests import PermitRequested
from shared.contracts.topics import PARTITIONS
from shared.database.pool import Database
from shared.database.transaction import Transaction
from shared.messaging import parked
from shared.messaging.failed_share import Halted
from shared.messaging.handlers import Park, each
from shared.messaging.parked import ParkedRequests
from shared.messaging.partitions import partition_of
from tests.messaging.reader import Reader
from tests.messaging.sample import note, permits
from tests.messaging.wire import fact, permit


class _Ends:
    """Where the topics end, as a broker would say."""

    def __init__(self, end: int) -> None:
        self.end = end

    async def __call__(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        assert topic == "account-facts"
        return dict.fromkeys(partitions, self.end)


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked, "PARKED_AT_LEAST", timedelta(0))


@pytest.fixture
async def ends() -> _Ends:
    return _Ends(1)


@pytest.fixture
async def waiting(database: Database, ends: _Ends) -> Reader:
    return await Reader(database, "operator-requests", permits(), end_offsets=ends).begin()


@pytest.fixture
def again(database: Database) -> ParkedRequests:
    return ParkedRequests(database, "sample", {"operator-requests": permits()})


async def _read_as_far_as(database: Database, key: str, offset: int) -> None:
    await database.pool.execute(
        "INSERT INTO consumer_offsets VALUES ('account-facts', $1, $2) "
        "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
        partition_of(key),
        offset,
    )


async def _what(reader: Reader) -> list[str]:
    return [what for _, what in await reader.journal()]


async def test_a_request_waits_until_its_facts_are_read(waiting: Reader, again: ParkedRequests, facts: Reader) -> None:
    await _read_as_far_as(waiting.database, "a", 0)
    await waiting.feed(permit("a"))
    assert await again.turn() == 0
    await facts.feed(fact("a"))
    await _read_as_far_as(waiting.database, "a", 1)
    assert await again.turn() == 1
    assert await _what(waiting) == ["kept", "permitted T-1"]
    assert await waiting.database.pool.fetchval("SELECT count(*) FROM parked_requests") == 0


async def test_where_the_topic_ends_is_taken_as_of_parking(waiting: Reader, again: ParkedRequests, ends: _Ends) -> None:
    await waiting.feed(permit("a"))
    ends.end = 1000
    await _read_as_far_as(waiting.database, "a", 1)
    assert await again.turn() == 1
    assert await _what(waiting) == ["refused T-1"]


async def test_what_no_key_names_waits_for_every_partition(database: Database, ends: _Ends) -> None:
    async def needs_all(tx: Transaction, event: Event[Any]) -> None:
        if tx.may_park:
            raise Park([("account-facts", None)])
        await note(tx, event.id, event.subject, "answered")

    handler = each({PermitRequested: needs_all})
    reader = await Reader(database, "operator-requests", handler, end_offsets=ends).begin()
    await reader.feed(permit("a"))
    again = ParkedRequests(database, "sample", {"operator-requests": handler})
    for partition in range(PARTITIONS):
        assert await again.turn() == 0
        await database.pool.execute(
            "INSERT INTO consumer_offsets VALUES ('account-facts', $1, 1) ON CONFLICT (topic, partition) DO UPDATE "
            "SET next_offset = 1",
            partition,
        )
    assert await again.turn() == 1
    assert await _what(reader) == ["answered"]


async def test_it_comes_back_although_nothing_came(waiting: Reader, again: ParkedRequests, ends: _Ends) -> None:
    ends.end = 0
    await waiting.feed(permit("a"))
    assert await again.turn() == 1
    assert await _what(waiting) == ["refused T-1"]


async def test_it_waits_two_seconds_at_least(
    waiting: Reader, again: ParkedRequests, ends: _Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends.end = 0
    monkeypatch.setattr(parked, "PARKED_AT_LEAST", timedelta(seconds=2))
    await waiting.feed(permit("a"))
    assert await again.turn() == 0
    waits = await waiting.database.pool.fetchval("SELECT not_before - parked_at FROM parked_requests")
    assert waits == timedelta(seconds=2)
    await waiting.database.pool.execute("UPDATE parked_requests SET not_before = now()")
    assert await again.turn() == 1


async def test_later_requests_of_the_key_stay_behind_it(waiting: Reader, again: ParkedRequests, facts: Reader) -> None:
    await waiting.feed(permit("a", ticket="1"), permit("a", ticket="2"), permit("b", ticket="3"))
    # The account comes to be known, but a later request still must not overtake the parked ones.
    await facts.feed(fact("a"))
    await waiting.feed(permit("a", ticket="4"))
    assert await _what(waiting) == ["kept"]
    await _read_as_far_as(waiting.database, "a", 1)
    assert await again.turn() == 3
    assert await _what(waiting) == ["kept", "permitted 1", "permitted 2", "permitted 4"]
    await _read_as_far_as(waiting.database, "b", 1)
    assert await again.turn() == 1


async def test_a_request_that_needs_no_waiting_stays_behind_one_of_its_batch_that_does(
    waiting: Reader, again: ParkedRequests
) -> None:
    await waiting.feed(permit("a", ticket="1"), permit("a", ticket="now"), permit("b", ticket="now"))
    assert await _what(waiting) == ["refused now"]
    await _read_as_far_as(waiting.database, "a", 1)
    assert await again.turn() == 2
    assert await _what(waiting) == ["refused now", "refused 1", "refused now"]


async def test_the_same_parked_request_twice_is_one(waiting: Reader, again: ParkedRequests) -> None:
    once = permit("a")
    await waiting.feed(once, once)
    await waiting.feed(once)
    await _read_as_far_as(waiting.database, "a", 1)
    assert await again.turn() == 1
    assert await again.turn() == 0
    assert await _what(waiting) == ["refused T-1"]


async def test_two_processes_take_up_each_request_once(waiting: Reader, ends: _Ends) -> None:
    ends.end = 0
    await waiting.feed(*[permit(f"acc-{number}") for number in range(20)])
    two = [ParkedRequests(waiting.database, "sample", {"operator-requests": permits()}) for _ in range(2)]
    done = await asyncio.gather(*(one.turn() for one in two))
    assert sum(done) == 20
    assert len(await waiting.journal()) == 20


async def test_a_request_that_fails_for_ever_is_buried_and_others_go_on(
    waiting: Reader, again: ParkedRequests, ends: _Ends
) -> None:
    ends.end = 0
    poison = permit("a", ticket="fail").with_header("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")
    await waiting.feed(permit("a", ticket="1"), permit("b", ticket="1"))
    # The handler fails only once it may not park any more, as a fault in an answer would.
    await waiting.database.pool.execute("UPDATE parked_requests SET value = $1 WHERE key = 'a'", poison.value)
    for _ in range(3):
        with pytest.raises(LookupError):
            await again.turn()
    assert await _what(waiting) == ["refused 1"]
    (dead,) = await waiting.dead()
    assert (dead["reason_code"], dead["key"], dead["topic"]) == ("handler_failed", b"a", "operator-requests")
    assert await waiting.database.pool.fetchval("SELECT count(*) FROM inbox WHERE status = 'x'") == 1
    assert await waiting.database.pool.fetchval("SELECT count(*) FROM parked_requests") == 0
    assert len(await waiting.outbox("dead-letters")) == 1


async def test_a_release_that_fails_on_all_of_them_buries_a_few_and_stops(
    waiting: Reader, again: ParkedRequests, ends: _Ends
) -> None:
    ends.end = 0
    await waiting.feed(*(permit(f"acc-{number}", ticket="1") for number in range(40)))
    await waiting.database.pool.execute("UPDATE parked_requests SET value = $1", permit("acc-1", ticket="fail").value)
    for _ in range(6):
        with pytest.raises((LookupError, RuntimeError, Halted)):
            await again.turn()
    left = await waiting.database.pool.fetchval("SELECT count(*) FROM parked_requests")
    assert 20 <= left < 40
    with pytest.raises(Halted, match="parked requests failed by our own fault"):
        await again.turn()
    assert await waiting.database.pool.fetchval("SELECT count(*) FROM parked_requests") == left


async def test_a_broker_that_is_away_while_parking_blames_nobody(database: Database) -> None:
    asked: list[str] = []

    async def away(topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        asked.append(topic)
        if len(asked) < 5:
            message = "broker away"
            raise ConnectionError(message)
        return dict.fromkeys(partitions, 0)

    reader = await Reader(database, "operator-requests", permits(), end_offsets=away).begin()
    await reader.feed(permit("a"))
    assert await reader.dead() == []
    assert await database.pool.fetchval("SELECT count(*) FROM parked_requests") == 1


async def test_many_behind_one_another_are_one_turn(waiting: Reader, again: ParkedRequests, facts: Reader) -> None:
    """Whoever parks many requests on somebody else's key must not make its owner wait for a turn for each."""
    await waiting.feed(*(permit("a", ticket=f"T-{number}") for number in range(120)), permit("b"))
    await facts.feed(fact("a"))
    for key in ("a", "b"):
        await _read_as_far_as(waiting.database, key, 1)
    assert await again.turn() == 121
    assert [what for what in await _what(waiting) if what.startswith("permitted")] == [f"permitted T-{n}" for n in range(120)]
