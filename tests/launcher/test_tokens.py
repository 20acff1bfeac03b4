"""Client tokens: a repeat is answered as the first was, and does nothing."""

import asyncio

import pytest

from services.launcher.adapters.tokens import TokenTaken
from services.launcher.handlers.requests import launch
from shared.messaging.records import read
from tests.catalog.states import image_state
from tests.launcher.desk import Desk

TOKEN = {"client_token": "t-1", "image_id": "img-1"}


async def test_a_repeat_gets_the_first_answer_with_the_state_as_it_is(desk: Desk) -> None:
    await desk.know(image_state())
    first = await desk.ask("launch", "i-1", **TOKEN)
    await desk.ask("release", "i-1")
    again = await desk.ask("launch", "i-1", **TOKEN)
    assert (again.type, again.change, again.request_id != first.request_id) == (first.type, first.change, True)
    assert again.state is not None
    assert again.state["state"] == "released"
    assert len(await desk.instances()) == 1


async def test_a_refusal_is_repeated_too(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", image_id="img-1")
    refused = await desk.ask("launch", "i-1", **TOKEN)
    assert (await desk.ask("launch", "i-1", **TOKEN)).change == refused.change


async def test_other_content_is_a_mismatch_and_another_type_another_scope(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", **TOKEN)
    assert (await desk.ask("launch", "i-2", **TOKEN)).codes == ["IdempotentParameterMismatch"]
    assert (await desk.ask("reinit", "i-1", client_token="t-1")).type == "instance.reinitialised"


async def test_dry_runs_and_expired_requests_use_no_token(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", dry_run=True, **TOKEN)
    await desk.ask("launch", "i-1", expires_at="2020-01-01T00:00:00Z", **TOKEN)
    assert (await desk.ask("launch", "i-1", **TOKEN)).type == "instance.launched"


async def test_a_token_is_free_again_after_a_day(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", **TOKEN)
    await desk.database.pool.execute("UPDATE client_tokens SET used_at = used_at - interval '25 hours'")
    assert (await desk.ask("launch", "i-2", **TOKEN)).type == "instance.launched"


async def test_two_requests_with_one_token_at_once_the_second_is_decided_anew(desk: Desk) -> None:
    await desk.know(image_state())
    first, second = (read(desk.request("launch", name, **TOKEN)).event for name in ("i-1", "i-2"))
    assert first is not None
    assert second is not None
    async with desk.database.transaction() as tx:
        await launch(tx, first)

        async def late() -> None:
            async with desk.database.transaction() as other:
                await launch(other, second)

        racing = asyncio.create_task(late())
        async with asyncio.timeout(20):
            while not await desk.database.pool.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
    with pytest.raises(TokenTaken):
        await racing
    assert [row["instance_id"] for row in await desk.instances()] == ["i-1"]
