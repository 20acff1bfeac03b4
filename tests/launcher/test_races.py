"""A launch and a change of its image at once: whoever commits first, answer and books agree."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.launcher.handlers.copies import apply_image_events
from services.launcher.handlers.requests import instance_requests, launch, reinitialise, replace_os
from shared.contracts.envelope import Event
from shared.database.transaction import Transaction
from shared.messaging.records import read
from tests.catalog.states import STRANGER, image_event, image_state, publication
from tests.launcher.desk import Desk
from tests.waits import blocked

GONE = image_state(publication=publication("unpublished"))


def _event(desk: Desk, what: str, *names: str, **given: Any) -> Event[Any]:
    event = read(desk.request(what, *names, **given)).event
    assert event is not None
    return event


async def test_an_unpublish_waits_for_a_launch_that_was_decided_before_it(desk: Desk) -> None:
    """So whoever changes an image's instances after the unpublish meets every one launched before."""
    await desk.know(image_state())
    event = _event(desk, "launch", image_id="img-1")
    seen: list[int] = []

    async def unpublish() -> None:
        async with desk.database.transaction() as tx:
            await apply_image_events(tx, [image_event(GONE, sequence=2)])
            seen.append(await tx.connection.fetchval("SELECT count(*) FROM instances WHERE image_id = 'img-1'"))

    async with desk.database.transaction() as tx:
        await launch(tx, event)
        running = asyncio.create_task(unpublish())
        await blocked(desk.database)
        assert seen == []
    await running
    assert seen == [1]
    (answer,) = await desk.answers()
    assert (answer.what, answer.change["image_sequence"]) == ("instance.launched", 1)
    assert (await desk.ask("reinit")).codes == ["OperationDenied.ImageUnpublished"]


async def test_a_launch_waits_for_an_unpublish_and_is_refused_by_it(desk: Desk) -> None:
    await desk.know(image_state())
    event = _event(desk, "launch", image_id="img-1")

    async def launch_it() -> None:
        async with desk.database.transaction() as tx:
            await launch(tx, event)

    async with desk.database.transaction() as tx:
        await apply_image_events(tx, [image_event(GONE, sequence=2)])
        running = asyncio.create_task(launch_it())
        await blocked(desk.database)
    await running
    (answer,) = await desk.answers()
    assert answer.codes == ["InvalidImageId.NotFound"]
    assert await desk.instances() == []


async def test_blocking_an_account_and_a_launch_exclude_each_other(desk: Desk) -> None:
    await desk.know(image_state())
    event = _event(desk, "launch", image_id="img-1")
    async with desk.database.transaction() as tx:
        await launch(tx, event)
        running = asyncio.create_task(desk.accounts.feed(desk.account(STRANGER, "blocked", sequence=2)))
        await blocked(desk.database)
    await running
    assert [answer.type for answer in await desk.answers()] == ["instance.launched"]
    assert (await desk.ask("launch", "i-2", image_id="img-1")).codes == ["Account.NotActive"]


DECIDES = {"launch": launch, "reinit": reinitialise, "replace-os": replace_os}


@pytest.mark.parametrize("unclear", ["image", "account"])
@pytest.mark.parametrize("what", list(DECIDES))
async def test_what_waited_for_a_batch_sees_the_mark_that_the_batch_left(desk: Desk, what: str, unclear: str) -> None:
    """The batch holds a newer state, so its row is waited for, and a record that could not be read."""
    await desk.know(image_state())
    if what != "launch":
        assert (await desk.ask("launch", image_id="img-1")).what == "instance.launched"
    event = _event(desk, what, **({} if what == "reinit" else {"image_id": "img-1"}))

    async def decide() -> None:
        async with desk.database.transaction() as tx:
            await DECIDES[what](tx, event)

    async with desk.database.transaction() as holder:
        if unclear == "image":
            await holder.connection.execute("SELECT FROM images WHERE image_id = 'img-1' FOR UPDATE")
            newer, unreadable = (desk.image_log.image(image_state(), sequence=sequence) for sequence in (2, 3))
            reading = asyncio.create_task(desk.images.feed(newer, desk.image_log.garbage(unreadable)))
        else:
            await holder.connection.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", STRANGER)
            newer, unreadable = (desk.account(STRANGER, sequence=sequence) for sequence in (2, 3))
            reading = asyncio.create_task(desk.accounts.feed(newer, desk.account_log.garbage(unreadable)))
        await blocked(desk.database)
        deciding = asyncio.create_task(decide())
        await blocked(desk.database, 2)
    await asyncio.gather(reading, deciding)
    (answer,) = await desk.answers()
    assert answer.codes == ["InvalidImageId.NotFound" if unclear == "image" else "InvalidAccount.NotFound"]


async def test_two_launches_of_one_image_do_not_wait_for_each_other(desk: Desk) -> None:
    await desk.know(image_state())
    first, second = _event(desk, "launch", "i-1", image_id="img-1"), _event(desk, "launch", "i-2", image_id="img-1")
    async with asyncio.timeout(10), desk.database.transaction() as one, desk.database.transaction() as two:
        await launch(one, first)
        await launch(two, second)
    assert len(await desk.instances()) == 2


Step = Callable[[Transaction], Awaitable[None]]


async def test_batches_that_name_images_crosswise_do_not_deadlock(desk: Desk) -> None:
    """Requests name images in any order, events come in key order: without one order of locks they would wait crosswise."""
    numbers = range(1, 9)
    await desk.know(*(image_state(f"img-{number}") for number in numbers))
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = await desk.database.pool.fetchval(deadlocks)

    async def commit(step: Step) -> None:
        async with desk.database.transaction() as tx:
            await step(tx)

    for turn in range(15):
        requests = [
            _event(desk, "launch", f"i-{turn}-{number}", image_id=f"img-{number}")
            for number in sorted(numbers, reverse=turn % 2 == 0)
        ]
        changes = [image_event(image_state(f"img-{number}"), sequence=turn + 2) for number in numbers]
        await asyncio.gather(
            commit(lambda tx, requests=requests: instance_requests(tx, requests)),  # type: ignore[misc]
            commit(lambda tx, changes=changes: apply_image_events(tx, changes)),  # type: ignore[misc]
        )
    await desk.database.pool.execute("SELECT pg_stat_force_next_flush()")
    assert await desk.database.pool.fetchval(deadlocks) == before
    assert len(await desk.instances()) == 15 * len(numbers)


@pytest.mark.parametrize("seed", range(3))
async def test_collisions_end_in_agreement(desk: Desk, seed: int) -> None:
    """Launches and unpublishes in a real race: every answer holds for the sequence it names, and the books hold the answers."""
    images = [f"img-{seed}-{number}" for number in range(15)]
    await desk.know(*(image_state(image_id) for image_id in images))
    for number, image_id in enumerate(images):
        event = _event(desk, "launch", f"i-{number}", image_id=image_id)
        change = image_event(image_state(image_id, publication=publication("unpublished")), sequence=2)

        async def launch_it(event: Event[Any] = event) -> None:
            async with desk.database.transaction() as tx:
                await launch(tx, event)

        async def unpublish(change: Event[Any] = change) -> None:
            async with desk.database.transaction() as tx:
                await apply_image_events(tx, [change])

        pair = [launch_it(), unpublish()]
        await asyncio.gather(*(pair if (number + seed) % 2 else reversed(pair)))
    answers = {answer.key: answer for answer in await desk.answers()}
    booked = {row["instance_id"] for row in await desk.instances()}
    assert len(answers) == len(images)
    assert booked == {key for key, answer in answers.items() if answer.what == "instance.launched"}
    for answer in answers.values():
        assert answer.what in {"instance.launched", "instance.refused InvalidImageId.NotFound"}
        assert answer.change.get("image_sequence") == (1 if answer.what == "instance.launched" else None)
