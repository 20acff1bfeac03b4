"""Fail closed: a key of which something could not be read is hidden until something as new was."""

import pytest

from tests.messaging.reader import Reader
from tests.messaging.wire import fact, known


async def test_a_dead_state_event_hides_its_key_alone(events: Reader) -> None:
    await events.feed(known("a", sequence=1), known("b", sequence=1))
    await events.feed(known("a", sequence=2).with_value(b"{"), known("c", sequence=1))
    assert [await events.unclear(key) for key in "abc"] == [True, False, False]
    assert len(await events.dead()) == 1


async def test_only_a_sequence_as_new_as_the_mark_lifts_it(events: Reader) -> None:
    await events.feed(known("a", sequence=1), known("a", sequence=5).with_value(b"{"))
    await events.feed(known("a", sequence=4))
    assert await events.unclear("a")
    await events.feed(known("a", sequence=5))
    assert not await events.unclear("a")
    assert [what for _, what in await events.journal()] == ["state 1", "state 4", "state 5"]


async def test_a_mark_within_a_batch_is_lifted_by_what_follows_in_it(events: Reader) -> None:
    await events.feed(known("a", sequence=1).with_value(b"{"), known("a", sequence=2), known("b", sequence=2).with_value(b"{"))
    assert not await events.unclear("a")
    assert await events.unclear("b")


async def test_no_mark_where_what_is_held_is_as_new(events: Reader) -> None:
    await events.feed(known("a", sequence=5))
    await events.feed(known("a", sequence=5).with_value(b"{"), known("a", sequence=4).with_value(b"{"))
    assert not await events.unclear("a")
    assert len(await events.dead()) == 2


@pytest.mark.parametrize("sequence", [b"many", b"-1", b"99999999999999999999999", b""])
async def test_without_a_readable_sequence_only_known_lifts(events: Reader, sequence: bytes) -> None:
    await events.feed(known("a", sequence=1), known("a", sequence=2).with_header("ce_sequence", sequence))
    assert await events.unclear("a")
    await events.feed(known("a", sequence=9).with_value(b"{"))
    assert await events.unclear("a")
    await events.feed(known("a", sequence=10))
    assert not await events.unclear("a")


async def test_a_fact_without_a_readable_sequence_is_not_mended_by_a_plain_fact(facts: Reader) -> None:
    await facts.feed(fact("a", sequence=1), fact("a").without_header("ce_sequence"))
    await facts.feed(fact("a", sequence=7))
    assert await facts.unclear("a")


async def test_a_dead_fact_of_one_source_is_not_mended_by_another(facts: Reader) -> None:
    await facts.feed(fact("a", sequence=3).with_value(b"{"))
    await facts.feed(fact("a", sequence=8, source="/other"))
    assert await facts.unclear("a")
    await facts.feed(fact("a", sequence=3))
    assert not await facts.unclear("a")


async def test_what_has_no_readable_key_hides_nothing(events: Reader) -> None:
    await events.feed(known("a", sequence=1), known("a", sequence=2).with_key(b"\xff\xfe"), known("a", sequence=2).with_key(None))
    assert not await events.unclear("a")
    assert len(await events.dead()) == 2


async def test_a_used_identity_hides_its_key(events: Reader) -> None:
    once = known("a", sequence=1)
    await events.feed(once)
    await events.feed(known("a", sequence=2, name="Other", event_id=once.event_id))
    assert await events.unclear("a")


async def test_requests_are_never_unclear(requests: Reader) -> None:
    await requests.feed(fact("a"))
    assert not await requests.unclear("a")
