"""Unpublish, share, take-down, permissions, tokens, requests that overtake their facts."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.publisher.domain.model import SHARES_MAX
from services.publisher.handlers.republish import republish
from shared.messaging.offsets import OffsetMoved
from shared.messaging.processor import Processor
from tests.publisher.values import FRIEND, NAME, OWNER, STRANGER, account_fact, image_changed, image_fact
from tests.publisher.world import World


async def test_unpublish_hides_and_a_second_time_is_refused(vendor: World) -> None:
    await vendor.published()
    done = await vendor.ask("unpublish")
    assert (done.type, done.change["message"]) == ("image.unpublished", f"{NAME} is unpublished")
    assert done.state["publication"]["state"] == "unpublished"
    again = await vendor.ask("unpublish")
    assert (again.type, again.codes) == ("request.refused", ["Image.NotPublic"])


async def test_unpublish_while_checking_withdraws_answers_both_and_cancels_the_job(vendor: World) -> None:
    asked = vendor.request("publish")
    await vendor.feed(asked)
    job = (await vendor.job())[-1]
    await vendor.feed(withdraw := vendor.request("unpublish"))
    told = await vendor.told()
    assert sorted(one.type for one in told) == ["check.cancelled", "publication.refused", "publication.withdrawn"]
    answers = {one.request_id: one for one in told if one.topic == "image-events"}
    assert answers[_id(asked)].codes == ["Publication.Withdrawn"]
    assert answers[_id(withdraw)].type == "publication.withdrawn"
    # A result on its way means nothing any more.
    assert await vendor.check_done(job) == []
    assert await vendor.count("timers") == 0


async def test_a_result_and_an_unpublish_at_once_end_in_one_order(vendor: World) -> None:
    job = await vendor.check_begun()
    await asyncio.gather(vendor.check_done(job), vendor.feed(vendor.request("unpublish")))
    state = await vendor.database.pool.fetchval("SELECT state FROM publications")
    assert state in {"unpublished", "withdrawn"}
    assert await vendor.database.pool.fetchval("SELECT count(*) FROM publications") == 1


async def test_two_publish_requests_in_one_batch_one_wins(vendor: World) -> None:
    first, second = vendor.request("publish"), vendor.request("publish", name="debian12_kernel6.1_x86_64_20260202")
    await vendor.feed(first, second)
    told = await vendor.told()
    assert [one.type for one in told if one.request_id == _id(first)] == ["publication.checking"]
    (refused,) = [one for one in told if one.request_id == _id(second)]
    assert refused.codes == ["Image.PublishInProgress"]


async def test_the_same_request_twice_is_answered_once(vendor: World) -> None:
    request = vendor.request("publish")
    await vendor.feed(request, request)
    await vendor.feed(request)
    assert (await vendor.types()).count("publication.checking") == 1


async def test_share_is_refused_while_public_and_earlier_shares_stay(vendor: World) -> None:
    assert (await vendor.ask("share", account_id=FRIEND)).state["shared_with"] == [FRIEND]
    assert (await vendor.ask("share", account_id=FRIEND)).state["shared_with"] == [FRIEND]
    await vendor.published()
    refused = await vendor.ask("share", account_id=STRANGER)
    assert refused.codes == ["OperationDenied.CommunityImage"]
    assert refused.state["shared_with"] == [FRIEND]
    assert (await vendor.ask("unshare", account_id=FRIEND)).state["shared_with"] == []


async def test_sharing_with_oneself_does_nothing_and_says_so(vendor: World) -> None:
    answer = await vendor.ask("share", account_id=OWNER)
    assert (answer.type, answer.state["shared_with"]) == ("image.shared", [])
    assert answer.change["message"] == f"{OWNER} owns my-image; nothing to share"


async def test_an_image_has_fifty_shares_at_most(vendor: World) -> None:
    users = [f"user-{number:02}" for number in range(SHARES_MAX + 1)]
    await vendor.state(*(account_fact(name) for name in users))
    await vendor.feed(*(vendor.request("share", account_id=name) for name in users[:SHARES_MAX]))
    refused = await vendor.ask("share", account_id=users[-1])
    assert (refused.type, refused.codes) == ("request.refused", ["QuotaExceed.ShareImageUser"])
    assert refused.state["shared_with"] == users[:SHARES_MAX]
    assert (await vendor.ask("share", account_id=users[0])).type == "image.shared", "it has its share"
    await vendor.ask("unshare", account_id=users[0])
    assert (await vendor.ask("share", account_id=users[-1])).state["shared_with"] == users[1:]


@pytest.mark.parametrize("checking", [True, False], ids=["while checking", "while public"])
async def test_take_down_ends_what_is_live_and_bars_the_next(vendor: World, *, checking: bool) -> None:
    if checking:
        job = await vendor.check_begun()
    else:
        await vendor.published()
    await vendor.feed(order := vendor.request("take-down", by="ops"))
    told = await vendor.told()
    (taken,) = [one for one in told if one.request_id == _id(order)]
    assert (taken.type, taken.state["publication"]["state"]) == ("image.taken-down", "taken_down")
    if checking:
        assert await vendor.check_done(job) == []
    assert (await vendor.ask("publish")).codes == ["Image.TakenDown"]
    assert (await vendor.ask("take-down-lift", by="ops")).type == "image.take-down-lifted"
    await vendor.published()


async def test_an_account_cannot_take_down_and_an_operator_cannot_publish(vendor: World) -> None:
    assert (await vendor.ask("take-down", kind="account")).codes == ["Actor.NotAllowed"]
    assert (await vendor.ask("publish", kind="operator")).codes == ["Actor.NotAllowed"]


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (image_changed(content_version="2"), "the image's content changed"),
        (image_changed(encrypted=True), "the image is encrypted"),
    ],
)
async def test_a_fact_that_ends_a_publication_is_told_before_itself(vendor: World, fact: object, reason: str) -> None:
    await vendor.published()
    await vendor.state(fact)  # type: ignore[arg-type]
    ended, known = await vendor.told()
    assert (ended.type, ended.change["reason"], known.type) == ("image.unpublished", reason, "image.known")
    assert ended.sequence < known.sequence


async def test_facts_out_of_order_and_twice(world: World) -> None:
    old, new = image_fact(name="old-name"), image_changed(name="new-name")
    late, early = world.record(old, "img-1", sequence=1), world.record(new, "img-1", sequence=2)
    await world.feed(early, late)
    await world.feed(early)
    await world.feed(late)
    assert [one.state["name"] for one in await world.told()] == ["new-name"]


async def test_requests_that_overtake_their_facts_are_taken_up_in_order(world: World) -> None:
    publish, unpublish = world.request("publish"), world.request("unpublish")
    await world.feed(publish)
    await world.feed(unpublish)
    assert (await world.told(), await world.count("parked_requests")) == ([], 2)
    await world.vendor()
    await world.told()
    assert await world.waiting_is_over() == 2
    answers = [(one.request_id, one.type) for one in await world.told() if one.topic == "image-events"]
    assert answers == [
        (_id(publish), "publication.checking"),
        (_id(publish), "publication.refused"),
        (_id(unpublish), "publication.withdrawn"),
    ]


async def test_what_nobody_stated_is_not_found_after_the_wait(world: World) -> None:
    await world.feed(request := world.request("unpublish", "img-none"))
    assert await world.told() == []
    assert await world.waiting_is_over() == 1
    assert (await world.answer_to(request)).codes == ["InvalidImageId.NotFound"]


async def test_a_client_token_gives_the_first_answer_again(vendor: World) -> None:
    first = await vendor.ask("share", account_id=FRIEND, client_token="t-1")
    await vendor.ask("unshare", account_id=FRIEND)
    again = await vendor.ask("share", account_id=FRIEND, client_token="t-1")
    assert (again.type, again.change["message"]) == (first.type, first.change["message"])
    # The answer is repeated, the effect is not.
    assert again.state["shared_with"] == []
    other = await vendor.ask("share", account_id=STRANGER, client_token="t-1")
    assert other.codes == ["IdempotentParameterMismatch"]


async def test_a_token_of_a_publish_still_checking_is_answered_when_it_ends(vendor: World) -> None:
    first, second = vendor.request("publish", client_token="t-2"), vendor.request("publish", client_token="t-2")
    await vendor.feed(first)
    job = (await vendor.job())[-1]
    await vendor.feed(second)
    assert await vendor.told() == []
    answers = {one.request_id: one.type for one in await vendor.check_done(job) if one.type == "image.published"}
    assert answers == {_id(first): "image.published", _id(second): "image.published"}


@pytest.mark.parametrize(
    ("given", "age"),
    [({"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, timedelta(0)), ({}, timedelta(days=7, minutes=1))],
    ids=["expired", "older than the inbox remembers"],
)
async def test_old_requests_are_refused(vendor: World, given: dict[str, object], age: timedelta) -> None:
    assert (await vendor.ask("publish", age=age, **given)).codes == ["Request.Expired"]


async def test_a_stale_batch_of_a_revoked_owner_writes_nothing(vendor: World) -> None:
    record = vendor.request("unpublish")
    topic, partition = record.topic, record.partition
    mine = vendor.positions[topic][partition]
    await vendor.feed(record)
    await vendor.told()
    late = Processor(database=vendor.database, service="publisher", topic=topic, handler=vendor.handlers[topic])
    with pytest.raises(OffsetMoved):
        await late.process([vendor.request("publish")], {partition: mine})
    assert await vendor.told() == []


async def test_republish_tells_everything_once_more_with_the_next_sequences(vendor: World) -> None:
    published = await vendor.published()
    found = await republish(vendor.database, records_per_s=10_000)
    assert (found.images, found.accounts) == (1, 3)
    told = await vendor.told()
    (image,) = [one for one in told if one.topic == "image-events"]
    assert (image.type, image.request_id, image.sequence) == ("image.known", None, published.sequence + 1)
    assert image.state == published.state
    assert [one.type for one in told if one.topic == "account-events"] == ["account.known"] * 3


async def test_a_closed_account_publishes_nothing(vendor: World) -> None:
    job = await vendor.check_begun()
    await vendor.state(account_fact(OWNER, status="closed"))
    (*_, answer) = await vendor.check_done(job)
    assert answer.type == "publication.refused"
    assert "Account.NotActive" in answer.codes


def _id(record: object) -> str:
    found: bytes = dict(record.headers)["ce_id"]  # type: ignore[attr-defined]
    return found.decode()
