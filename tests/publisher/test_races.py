"""A take-down against what it meets, from another topic: whichever is decided first, answers, state and history agree."""

import asyncio
from typing import Any

import pytest

from shared.messaging.records import Record, read
from tests.publisher.values import result
from tests.publisher.world import Told, World
from tests.waits import blocked


async def _one_then_other(world: World, first: Record, second: Record) -> list[Told]:
    """Decide `first`, and before that commits let the consumer of `second` run into it; returns what is told of the image."""
    event = read(first).event
    assert event is not None
    async with asyncio.TaskGroup() as tasks, world.database.transaction() as tx:
        await world.handlers[first.topic](tx, [event])
        tasks.create_task(world.feed(second))
        await blocked(world.database)
    told = await world.told()
    assert [one.sequence for one in told if one.topic == "image-events"] == sorted(
        one.sequence for one in told if one.topic == "image-events"
    ), "told in the order in which it was decided"
    return told


def _result_of(world: World, job: dict[str, Any]) -> Record:
    return world.record(result(check_id=job["check_id"], content_version=job["content_version"]), "img-1")


async def _agreed(world: World, told: list[Told], *, publications: list[str]) -> None:
    """The last state told, the rows and their history say the same, and nothing waits for an answer any more."""
    last = [one for one in told if one.topic == "image-events"][-1].state
    assert last["taken_down"]["reason"] == "malware"
    rows = await world.database.pool.fetch("SELECT * FROM publications ORDER BY requested_at")
    assert [row["state"] for row in rows] == publications
    if publications != ["rejected"]:
        assert (last["publication"]["id"], last["publication"]["state"]) == (rows[-1]["publication_id"], publications[-1])
    history = "SELECT state FROM publication_transitions WHERE publication_id = $1 ORDER BY id DESC LIMIT 1"
    assert [await world.database.pool.fetchval(history, row["publication_id"]) for row in rows] == publications
    assert await world.count("timers") == 0
    assert (await world.ask("publish")).codes == ["Image.TakenDown"]


async def test_a_result_and_then_a_take_down(vendor: World) -> None:
    job = await vendor.check_begun()
    told = await _one_then_other(vendor, _result_of(vendor, job), vendor.request("take-down"))
    assert [one.type for one in told] == ["image.tagged", "image.published", "image.taken-down"]
    await _agreed(vendor, told, publications=["taken_down"])


async def test_a_take_down_and_then_a_result(vendor: World) -> None:
    job = await vendor.check_begun()
    told = await _one_then_other(vendor, vendor.request("take-down"), _result_of(vendor, job))
    assert [one.type for one in told] == ["check.cancelled", "publication.refused", "image.taken-down"]
    assert told[1].codes == ["Image.TakenDown"]
    await _agreed(vendor, told, publications=["taken_down"])


async def test_a_publish_and_then_a_take_down(vendor: World) -> None:
    told = await _one_then_other(vendor, vendor.request("publish"), vendor.request("take-down"))
    assert [one.type for one in told] == [
        "check.requested",
        "publication.checking",
        "check.cancelled",
        "publication.refused",
        "image.taken-down",
    ]
    assert [one.sequence for one in told if one.topic == "check-jobs"] == [1, 2]
    await _agreed(vendor, told, publications=["taken_down"])


async def test_a_take_down_and_then_a_publish(vendor: World) -> None:
    told = await _one_then_other(vendor, vendor.request("take-down"), vendor.request("publish"))
    assert [(one.type, one.codes) for one in told] == [
        ("image.taken-down", []),
        ("publication.refused", ["Image.TakenDown"]),
    ]
    await _agreed(vendor, told, publications=["rejected"])


@pytest.mark.parametrize("against", ["result", "publish"])
async def test_collisions_end_in_agreement(vendor: World, against: str) -> None:
    """The same in a real race, over and over: every publish has one answer, and nothing is public that was taken down."""
    for turn in range(6):
        publish = vendor.request("publish")
        job = None
        if against == "result":
            await vendor.feed(publish)
            job = (await vendor.job())[-1]
        other = publish if job is None else _result_of(vendor, job)
        both = [vendor.feed(vendor.request("take-down")), vendor.feed(other)]
        await asyncio.gather(*(both if turn % 2 else reversed(both)))
        told = await vendor.told()
        publish_id = read(publish).event.id  # type: ignore[union-attr]
        answers = [one.type for one in told if one.request_id == publish_id and one.type != "publication.checking"]
        assert answers in (["image.tagged", "image.published"], ["publication.refused"])
        state = max((one for one in told if one.topic == "image-events"), key=lambda one: one.sequence).state
        assert "taken_down" in state
        assert state.get("publication", {}).get("state") in {None, "taken_down"}
        live = "SELECT count(*) FROM publications WHERE state IN ('checking', 'published')"
        assert await vendor.database.pool.fetchval(live) == 0
        assert (await vendor.ask("take-down-lift")).type == "image.take-down-lifted"
