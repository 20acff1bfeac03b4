"""Every instance told once more, with the next sequence, whatever is decided meanwhile."""

import asyncio
import time

import pytest

from services.launcher.handlers import republish as module
from services.launcher.handlers.republish import republish
from services.launcher.handlers.requests import instance_requests, release, replace_os
from shared.messaging.records import read
from tests.catalog.states import FRIEND, image_state
from tests.launcher.desk import Desk
from tests.waits import blocked

PAID = {"id": "prod-1", "fee": {"amount": "0.50", "currency": "EUR"}}


async def test_every_instance_is_told_in_full_with_the_next_sequence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_RECORDS", 2)
    await desk.know(image_state(root_product=PAID))
    for number, account in enumerate((FRIEND, FRIEND, "stranger")):
        await desk.ask("launch", f"i-{number}", account, image_id="img-1")
    released = await desk.ask("release", "i-0", FRIEND)
    assert (await desk.ask("launch", "i-9", "bad", image_id="img-1")).type == "instance.refused"
    began = time.monotonic()
    assert (await republish(desk.database, records_per_s=10)).instances == 3
    assert time.monotonic() - began >= 0.3, "paced"
    told = await desk.known()
    assert [(one.key, one.sequence) for one in told] == [("i-0", 3), ("i-1", 2), ("i-2", 2)]
    assert told[0].state == released.state
    assert "closed_at" in told[0].state["charge"]
    assert "closed_at" not in told[1].state["charge"]


async def test_a_state_is_read_once_its_row_is_held(desk: Desk) -> None:
    """What is told after a decision it waited for is the state after that decision, charge included."""
    await desk.know(image_state("free"), image_state("paid", root_product=PAID))
    await desk.ask("launch", image_id="free")
    event = read(desk.request("replace-os", image_id="paid")).event
    assert event is not None
    async with desk.database.transaction() as tx:
        await replace_os(tx, event)
        telling = asyncio.create_task(republish(desk.database, records_per_s=1000))
        await blocked(desk.database)
    await telling
    (known,) = await desk.known()
    assert known.sequence == 3
    assert known.state["system_disk"]["image_id"] == "paid"
    assert known.state["charge"]["product_id"] == "prod-1"


async def test_a_decision_after_it_has_the_later_sequence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.know(image_state())
    await desk.ask("launch", image_id="img-1")
    event = read(desk.request("release")).event
    assert event is not None
    deciding: list[asyncio.Task[None]] = []
    tell = module._tell_instances

    async def decide() -> None:
        async with desk.database.transaction() as tx:
            await release(tx, event)

    async def told(*given: object) -> list[str]:
        found: list[str] = await tell(*given)  # type: ignore[arg-type]
        if found:
            deciding.append(asyncio.create_task(decide()))
            await blocked(desk.database)
        return found

    monkeypatch.setattr(module, "_tell_instances", told)
    await republish(desk.database, records_per_s=1000)
    await deciding[0]
    assert [one.sequence for one in await desk.known()] == [2]
    rows = await desk.database.pool.fetch("SELECT headers FROM outbox ORDER BY id")
    assert "instance.released" in rows[-1]["headers"]


async def test_a_batch_in_any_order_and_a_republish_do_not_wait_crosswise(desk: Desk) -> None:
    """The batch names i-2 first; it must not hold that while it waits for i-1, which republish takes first."""
    await desk.know(image_state())
    for name in ("i-1", "i-2"):
        await desk.ask("launch", name, image_id="img-1")
    events = [read(desk.request("release", name)).event for name in ("i-2", "i-1")]

    async def decide() -> None:
        async with desk.database.transaction() as tx:
            await instance_requests(tx, [event for event in events if event is not None])

    async with desk.database.transaction() as tx:
        await tx.connection.execute("SELECT FROM instances WHERE instance_id = 'i-1' FOR UPDATE")
        deciding = asyncio.create_task(decide())
        await blocked(desk.database)
        await tx.connection.execute("SELECT FROM instances WHERE instance_id = 'i-2' FOR UPDATE NOWAIT")
    await deciding
