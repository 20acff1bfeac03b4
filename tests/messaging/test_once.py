"""Each event has its effect once: inbox, offsets as a fence, sequences."""

import asyncio

import pytest
from uuid_utils import uuid7

from shared.database.pool import Database
from shared.messaging.offsets import OffsetMoved
from tests.messaging.reader import Reader
from tests.messaging.sample import accounts, states
from tests.messaging.wire import fact, known, numbered


async def _applied(reader: Reader) -> dict[str, int]:
    rows = await reader.database.pool.fetch("SELECT account_id, applied FROM accounts")
    return {row["account_id"]: row["applied"] for row in rows}


async def test_a_batch_is_state_outbox_and_offset_together(facts: Reader) -> None:
    await facts.feed(fact("a"), fact("b"), fact("a", sequence=2))
    assert await _applied(facts) == {"a": 2, "b": 1}
    assert await facts.stands() == 3
    assert [row["key"] for row in await facts.outbox("account-events")] == ["a", "b", "a"]


async def test_the_same_event_twice_in_one_batch_and_across_batches(facts: Reader) -> None:
    once = fact("a")
    await facts.feed(once, once)
    await facts.feed(once)
    assert await facts.journal() == [(once.event_id, "kept")]
    assert await facts.dead() == []
    assert await facts.stands() == 3


async def test_a_used_identity_with_other_bytes_is_a_dead_letter(facts: Reader) -> None:
    once = fact("a", event_id=str(uuid7()))
    other = fact("a", sequence=2, name="Other", event_id=once.event_id)
    await facts.feed(once)
    await facts.feed(other)
    assert [row["reason_code"] for row in await facts.dead()] == ["identity_reused"]
    assert [row["event_id"] for row in await facts.dead()] == [once.event_id]
    assert await facts.journal() == [(once.event_id, "kept")]


async def test_the_same_body_with_another_sequence_is_no_duplicate(facts: Reader) -> None:
    """What an event says is more than its body: a duplicate is the same in all of it."""
    once = fact("a", event_id=str(uuid7()))
    await facts.feed(once)
    await facts.feed(fact("a", sequence=2, event_id=once.event_id))
    assert [row["reason_code"] for row in await facts.dead()] == ["identity_reused"]


async def test_a_used_identity_within_one_batch_is_a_dead_letter(facts: Reader) -> None:
    once = fact("a", event_id=str(uuid7()))
    await facts.feed(once, fact("a", sequence=2, name="Other", event_id=once.event_id), fact("b"))
    assert [row["reason_code"] for row in await facts.dead()] == ["identity_reused"]
    assert await _applied(facts) == {"a": 1, "b": 1}


async def test_the_same_id_from_another_source_is_another_event(facts: Reader) -> None:
    once = fact("a", event_id=str(uuid7()))
    await facts.feed(once, fact("b", event_id=once.event_id, source="/elsewhere"))
    assert await _applied(facts) == {"a": 1, "b": 1}


async def test_stale_and_out_of_order_sequences_are_ignored(facts: Reader) -> None:
    await facts.feed(fact("a", sequence=5, name="five"), fact("a", sequence=3, name="three"))
    await facts.feed(fact("a", sequence=4, name="four"))
    await facts.feed(fact("a", sequence=5, name="five again"))
    await facts.feed(fact("a", sequence=6, name="six"))
    found = await facts.database.pool.fetchrow("SELECT display_name, applied FROM accounts")
    assert found is not None
    assert (found["display_name"], found["applied"]) == ("six", 2)


async def test_fact_sequences_are_compared_per_source(facts: Reader) -> None:
    await facts.feed(fact("a", sequence=9), fact("a", sequence=2, source="/other"))
    assert await _applied(facts) == {"a": 2}


async def test_state_sequences_are_compared_whatever_the_source(events: Reader) -> None:
    newer, older = known("a", sequence=7), known("a", sequence=6)
    await events.feed(newer, older.with_header("ce_source", b"/restored/publisher"))
    assert await events.journal() == [(newer.event_id, "state 7")]


async def test_a_replay_older_than_the_inbox_is_absorbed_by_sequences(facts: Reader) -> None:
    batch = [fact("a", sequence=1), fact("b", sequence=1), fact("a", sequence=2)]
    await facts.feed(*batch)
    before = await facts.journal()
    await facts.database.pool.execute("DELETE FROM inbox")
    await facts.feed(*batch)
    assert await facts.journal() == before
    assert await facts.dead() == []


async def test_two_batches_in_flight_and_the_first_rolls_back(database: Database, facts: Reader) -> None:
    """The second batch, handled although the first failed, must not be applied, nor move the offset past the first."""
    records = numbered([fact("a"), fact("b"), fact("c"), fact("d")])
    with pytest.raises(OffsetMoved) as moved:
        await facts.processor.process(records[2:], {0: 2})
    assert moved.value.stored == {0: 0}
    assert await facts.journal() == []
    assert await facts.stands() == 0
    await facts.processor.process(records[:2], {0: 0})
    await facts.processor.process(records[2:], {0: 2})
    assert await _applied(facts) == dict.fromkeys("abcd", 1)
    assert await database.pool.fetchval("SELECT count(*) FROM inbox") == 4


async def test_a_revoked_owner_cannot_apply_nor_move_the_offset(facts: Reader) -> None:
    """Two owners for a moment: the one that was revoked still holds a batch the other has already taken further."""
    records = numbered([fact("a", sequence=1), fact("a", sequence=2), fact("b")])
    other = Reader(facts.database, "account-facts", accounts())
    other.position = (await other.processor.process(records, {0: 0}))[0]
    with pytest.raises(OffsetMoved) as moved:
        await facts.processor.process(records[:1], {0: 0})
    assert moved.value.stored == {0: 3}
    assert await facts.stands() == 3
    assert await _applied(facts) == {"a": 2, "b": 1}


async def test_two_owners_at_the_same_moment_have_one_effect(facts: Reader) -> None:
    records = numbered([fact(f"acc-{number}") for number in range(50)])
    other = Reader(facts.database, "account-facts", accounts())
    outcomes = await asyncio.gather(
        facts.processor.process(records, {0: 0}), other.processor.process(records, {0: 0}), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["OffsetMoved", "dict"]
    assert len(await facts.journal()) == 50


async def test_a_partition_nobody_began_is_not_applied(database: Database) -> None:
    reader = Reader(database, "account-events", states())
    with pytest.raises(OffsetMoved) as moved:
        await reader.feed(known())
    assert moved.value.stored == {0: None}


async def test_each_partition_of_a_batch_has_its_own_fence(facts: Reader) -> None:
    await facts.database.pool.execute("INSERT INTO consumer_offsets VALUES ('account-facts', 3, 10)")
    records = [fact("a").at(0, partition=0), fact("b").at(11, partition=3)]
    with pytest.raises(OffsetMoved):
        await facts.processor.process(records, {0: 0, 3: 11})
    assert await _applied(facts) == {}
    # A gap between the stored offset and the first record is compaction, not loss.
    assert await facts.processor.process(records, {0: 0, 3: 10}) == {0: 1, 3: 12}
    assert await _applied(facts) == {"a": 1, "b": 1}
