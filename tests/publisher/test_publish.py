"""Publish: what stands in the way, all at once; the check; the publication."""

from datetime import UTC, datetime, timedelta

import pytest

from services.publisher.domain.verdict import TAG_PREFIX
from tests.publisher.values import DIGEST, FRIEND, NAME, OWNER, STRANGER, account_fact, image_changed, image_fact
from tests.publisher.world import World


async def test_publish_check_tag_publish(vendor: World) -> None:
    request = vendor.request("publish")
    await vendor.feed(request)
    job, checking = await vendor.told()
    assert (job.topic, job.type, job.sequence, checking.type) == ("check-jobs", "check.requested", 1, "publication.checking")
    assert checking.state["publication"]["state"] == "checking"
    assert checking.state["name"] == "my-image"
    assert job.data["deadline_at"] == checking.change["deadline_at"]

    tagged, published = await vendor.check_done(job.data)
    assert (tagged.type, published.type) == ("image.tagged", "image.published")
    assert tagged.sequence + 1 == published.sequence
    assert tagged.request_id == published.request_id == checking.request_id
    assert tagged.state["publication"]["state"] == "checking"
    assert tagged.state["tags"] == {
        TAG_PREFIX + "osVersion": "Debian 12",
        TAG_PREFIX + "kernelVersion": "6.1.0-18-cloud-amd64",
        TAG_PREFIX + "architecture": "x86_64",
    }
    assert published.state["publication"]["state"] == "published"
    assert (published.state["name"], published.change["message"]) == (NAME, f"{NAME} is published")
    assert published.state["check"]["image_digest"] == DIGEST
    assert await vendor.count("timers") == 0


async def test_all_broken_rules_are_named_at_once(world: World) -> None:
    await world.state(account_fact(enterprise_verified=False), image_fact(status="Waiting", encrypted=True))
    refused = await world.ask("publish", name="acs:my debian!", description="http://x")
    assert refused.type == "publication.refused"
    assert refused.codes == [
        "InvalidImageStatus",
        "Account.NotVerifiedEnterprise",
        "PublishPermission.NotGranted",
        "OperationDenied.EncryptedSnapshot",
        "InvalidImageName.Malformed",
        "InvalidDescription.Malformed",
    ]
    assert [problem["rule"] for problem in refused.change["problems"]] == [1, 2, 2, 5, 6, 7]
    assert all(problem["advice"] and "field" in problem for problem in refused.change["problems"])
    assert not refused.change["retryable"]
    assert "publication" not in refused.state
    row = await world.database.pool.fetchrow("SELECT state, request_id FROM publications")
    assert (row["state"], row["request_id"]) == ("rejected", refused.request_id)


async def test_defaults_are_the_images_own(vendor: World) -> None:
    await vendor.state(image_changed(name="own-name", description="its own", family="line"))
    job = await vendor.check_begun(name=None, description=None)
    published = (await vendor.check_done(job))[-1]
    assert (job["name"], published.state["description"], published.state["family"]) == ("own-name", "its own", "line")
    suggested = next(found for found in published.change["warnings"] if found["code"] == "ImageName.NotRecommended")
    assert suggested["suggested_name"] == "debian12_kernel6.1_x86_64_20260301"


async def test_a_description_is_required(vendor: World) -> None:
    assert (await vendor.ask("publish", description=None)).codes == ["InvalidDescription.Malformed"]


async def test_dry_run_tells_and_changes_nothing(vendor: World) -> None:
    well = await vendor.ask("publish", dry_run=True)
    assert (well.type, well.change["would_be"]) == ("request.rehearsed", "org.imagecommons.image.published.v1")
    ill = await vendor.ask("publish", dry_run=True, name="1")
    assert (ill.change["would_be"], ill.codes) == ("org.imagecommons.publication.refused.v1", ["InvalidImageName.Malformed"])
    assert await vendor.count("publications") == 0


@pytest.mark.parametrize(
    ("by", "given", "codes"),
    [
        (STRANGER, {}, ["InvalidImageId.NotFound"]),
        (OWNER, {"region": "us-1"}, ["InvalidImageId.NotFound"]),
        (FRIEND, {}, ["Image.NotOwner"]),
        (OWNER, {"kind": "operator"}, ["Actor.NotAllowed"]),
        (OWNER, {"kind": "service"}, ["Actor.NotAllowed"]),
        (OWNER, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, ["Request.Expired"]),
        (OWNER, {"age": timedelta(days=7, minutes=1)}, ["Request.Expired"]),
    ],
)
async def test_who_may_not_ask_hears_that_alone(vendor: World, by: str, given: dict[str, object], codes: list[str]) -> None:
    await vendor.ask("share", account_id=FRIEND)
    record = vendor.request("publish", by=by, name="1", **given)  # type: ignore[arg-type]
    await vendor.feed(record)
    if await vendor.count("parked_requests"):
        await vendor.waiting_is_over()
    answer = await vendor.answer_to(record)
    assert (answer.type, answer.codes) == ("publication.refused", codes)
    assert answer.state["image_id"] == "img-1"
    assert await vendor.count("publications") == 0


async def test_second_request_while_checking_and_while_public(vendor: World) -> None:
    job = await vendor.check_begun()
    second = await vendor.ask("publish")
    assert (second.codes, second.change["retryable"]) == (["Image.PublishInProgress"], True)
    await vendor.check_done(job)
    assert (await vendor.ask("publish")).codes == ["Image.Public"]
    assert await vendor.database.pool.fetchval("SELECT count(*) FROM publications WHERE state = 'published'") == 1


@pytest.mark.parametrize("topic", ["image-facts", "account-facts"])
async def test_nothing_is_published_on_what_is_unclear(vendor: World, topic: str) -> None:
    job = await vendor.check_begun()
    key = "img-1" if topic == "image-facts" else OWNER
    await vendor.database.pool.execute("UPDATE reader_keys SET unclear = true WHERE topic = $1 AND key = $2", topic, key)
    refused = (await vendor.check_done(job))[-1]
    assert (refused.codes, refused.change["retryable"]) == (["ImageCheck.Undetermined"], True)
    assert (await vendor.ask("publish")).codes == ["ImageCheck.Undetermined"]


async def test_taken_down_image_waits_for_the_operator(vendor: World) -> None:
    await vendor.ask("take-down")
    assert (await vendor.ask("publish")).codes == ["Image.TakenDown"]
    assert (await vendor.ask("take-down-lift")).type == "image.take-down-lifted"
    assert (await vendor.published()).state["publication"]["state"] == "published"


async def test_publishing_again_is_a_new_publication_with_a_new_check(vendor: World) -> None:
    first = await vendor.published()
    await vendor.ask("unpublish")
    second = await vendor.published()
    assert first.change["publication_id"] != second.change["publication_id"]
    assert first.change["check_id"] != second.change["check_id"]
