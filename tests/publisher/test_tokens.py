"""Client tokens while the first request's answer is still owed, and after their day."""

from services.publisher.adapters.tokens import WAITING_MAX
from tests.publisher.values import FRIEND, STRANGER
from tests.publisher.world import World

TOKEN = {"client_token": "t-1"}


async def test_no_more_repeats_wait_for_an_answer_than_one_transaction_should_give(vendor: World) -> None:
    await vendor.feed(vendor.request("publish", **TOKEN))
    job = (await vendor.job())[-1]
    await vendor.feed(*(vendor.request("publish", **TOKEN) for _ in range(WAITING_MAX - 1)))
    await vendor.feed(*(vendor.request("publish", **TOKEN) for _ in range(3)))
    refused = await vendor.told()
    assert [(one.type, one.codes, one.change["retryable"]) for one in refused] == [
        ("publication.refused", ["Image.PublishInProgress"], True)
    ] * 2
    told = await vendor.check_done(job)
    assert [one.type for one in told] == ["image.tagged", *["image.published"] * (WAITING_MAX + 1)]
    answered = {one.request_id for one in told}
    assert len(answered) == WAITING_MAX + 1
    assert answered.isdisjoint(one.request_id for one in refused)
    assert (await vendor.ask("publish", **TOKEN)).type == "image.published", "asked again, as the refusal says"


async def test_a_token_whose_answer_is_still_owed_is_nobody_elses_after_its_day(vendor: World) -> None:
    await _begin_a_day_ago(vendor)
    await vendor.feed(vendor.request("publish", **TOKEN))
    assert await vendor.told() == [], "it waits for the first one's answer"
    assert (await vendor.ask("publish", description="another content", **TOKEN)).codes == ["IdempotentParameterMismatch"]


async def test_a_token_whose_answer_is_still_owed_is_not_swept(vendor: World) -> None:
    await _begin_a_day_ago(vendor)
    await vendor.ask("share", account_id=FRIEND, client_token="t-2")
    assert await vendor.count("client_tokens") == 2


async def test_a_token_is_free_again_after_a_day_and_swept_by_the_next(vendor: World) -> None:
    await vendor.ask("share", account_id=FRIEND, **TOKEN)
    await vendor.ask("share", account_id=FRIEND, client_token="t-2")
    await vendor.database.pool.execute("UPDATE client_tokens SET used_at = used_at - interval '25 hours'")
    other = await vendor.ask("share", account_id=STRANGER, **TOKEN)
    assert (other.type, other.state["shared_with"]) == ("image.shared", [FRIEND, STRANGER])
    assert await vendor.count("client_tokens") == 1


async def _begin_a_day_ago(world: World) -> None:
    await world.feed(world.request("publish", **TOKEN))
    await world.told()
    await world.database.pool.execute("UPDATE client_tokens SET used_at = used_at - interval '25 hours'")
