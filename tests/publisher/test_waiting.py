"""Requests that overtook the facts they are decided on wait for all of these, whichever is missing first."""

import pytest

from shared.messaging.partitions import partition_of
from tests.publisher.values import FRIEND, OWNER, account_fact, image_fact
from tests.publisher.world import World


@pytest.mark.parametrize(("what", "late"), [("publish", OWNER), ("share", OWNER), ("share", FRIEND)])
async def test_image_and_accounts_are_waited_for_together(world: World, what: str, late: str) -> None:
    """The image is read first: a request that had waited for it alone would be answered that there is no such account."""
    given = {"account_id": FRIEND} if what == "share" else {}
    world.unread = {("account-facts", partition_of(late))}
    await world.feed(request := world.request(what, **given))
    await world.state(image_fact())
    await world.told()
    assert await world.waiting_is_over() == 0, "account-facts is not read that far yet"
    assert await world.told() == []
    await world.state(account_fact(), account_fact(FRIEND))
    await world.reads_on()
    assert await world.waiting_is_over() == 1
    answer = await world.answer_to(request)
    assert answer.codes == (["PublishPermission.NotGranted"] if what == "publish" else [])


@pytest.mark.parametrize("what", ["publish", "share"])
async def test_an_account_on_its_way_is_waited_for_though_the_image_is_known(world: World, what: str) -> None:
    given = {"account_id": FRIEND} if what == "share" else {}
    await world.state(image_fact(), *([account_fact()] if what == "share" else []))
    await world.told()
    await world.feed(request := world.request(what, **given))
    assert await world.told() == []
    await world.state(account_fact(FRIEND if what == "share" else OWNER))
    assert await world.waiting_is_over() == 1
    answer = await world.answer_to(request)
    assert answer.codes == (["PublishPermission.NotGranted"] if what == "publish" else [])


@pytest.mark.parametrize("what", ["publish", "share"])
async def test_an_account_that_nobody_stated_is_not_found_after_the_wait(world: World, what: str) -> None:
    given = {"account_id": FRIEND} if what == "share" else {}
    await world.state(image_fact(), *([account_fact()] if what == "share" else []))
    await world.feed(request := world.request(what, **given))
    assert await world.waiting_is_over() == 1
    assert (await world.answer_to(request)).codes[0] == "InvalidAccount.NotFound"


@pytest.mark.parametrize(("what", "kind"), [("unpublish", "account"), ("take-down", "operator")])
async def test_an_image_on_its_way_is_waited_for(world: World, what: str, kind: str) -> None:
    world.unread = {("image-facts", partition_of("img-1"))}
    await world.feed(request := world.request(what))
    assert await world.waiting_is_over() == 0, "image-facts is not read that far yet"
    await world.state(image_fact())
    await world.reads_on()
    assert await world.waiting_is_over() == 1
    answer = await world.answer_to(request)
    assert (answer.type, answer.codes) == (
        ("request.refused", ["Image.NotPublic"]) if kind == "account" else ("image.taken-down", [])
    )
