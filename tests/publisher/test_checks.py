"""What the checker says, or does not say, and what changes while it works."""

import pytest

from tests.publisher.values import account_fact, image_changed, image_deleted, result
from tests.publisher.world import World


async def test_blocking_items_are_named_with_evidence(vendor: World) -> None:
    job = await vendor.check_begun()
    levels = {"GUESTOS.Fstab": "failed", "SECURITY.Encryption": "failed"}
    (refused,) = await vendor.check_done(job, levels=levels)
    assert refused.type == "publication.refused"
    found = {problem["item"]: problem for problem in refused.change["problems"]}
    assert found["GUESTOS.Fstab"]["code"] == "ImageCheck.Failed"
    assert found["GUESTOS.Fstab"]["evidence"][0]["path"] == "/etc/fstab"
    assert found["SECURITY.Encryption"]["code"] == "OperationDenied.EncryptedSnapshot"
    assert refused.state["publication"]["state"] == "check_failed"
    assert (refused.state["check"]["outcome"], refused.state["tags"]) == ("blocked", {})
    assert not refused.change["retryable"]


@pytest.mark.parametrize(
    "different",
    [
        {"complete": False, "error": "the inspector was killed"},
        {"items": ()},
        {"content_version": "v2"},
        {"report_id": None},
        {"rules_version": "999"},
        {"levels": {"GUESTOS.Platform": "unsupported"}},
        {"error": "read error"},
    ],
)
async def test_what_cannot_be_told_never_publishes(vendor: World, different: dict[str, object]) -> None:
    job = await vendor.check_begun()
    (refused,) = await vendor.check_done(job, **different)
    assert (refused.codes, refused.change["retryable"]) == (["ImageCheck.Undetermined"], True)
    assert refused.state["publication"]["state"] == "check_failed"


async def test_an_image_that_was_not_opened_is_refused_with_the_checkers_reason(vendor: World) -> None:
    job = await vendor.check_begun()
    nothing = {"content_version": None, "report_id": None, "report_sha256": None, "image_digest": None, "items": ()}
    reason = "file:///elsewhere/disk.raw: not beneath the configured image roots"
    (refused,) = await vendor.check_done(job, **nothing, complete=False, error=reason)
    (problem,) = refused.change["problems"]
    assert (problem["code"], problem["value"]) == ("ImageCheck.Undetermined", reason)
    assert "location" in problem["advice"]
    assert "see the report" not in problem["advice"]


async def test_results_of_other_checks_mean_nothing(vendor: World) -> None:
    job = await vendor.check_begun()
    assert await vendor.check_done(job, check_id="another") == []
    await vendor.feed(vendor.record(result(image_id="img-2"), "img-2"))
    await vendor.ask("unpublish")
    assert await vendor.check_done(job) == []
    second = await vendor.check_begun()
    assert await vendor.check_done(job) == []
    assert (await vendor.check_done(second))[-1].type == "image.published"
    assert await vendor.check_done(second, levels={"GUESTOS.Fstab": "failed"}) == []


async def test_rules_are_judged_again_when_the_check_is_done(vendor: World) -> None:
    job = await vendor.check_begun()
    await vendor.state(account_fact(status="blocked", enterprise_verified=False))
    await vendor.told()
    (refused,) = await vendor.check_done(job)
    assert refused.codes == ["Account.NotActive", "Account.NotVerifiedEnterprise"]


async def test_deadline(vendor: World) -> None:
    await vendor.check_begun()
    await vendor.deadline_passes()
    assert await vendor.timers_due() == 1
    cancelled, refused = await vendor.told()
    assert (cancelled.type, cancelled.sequence) == ("check.cancelled", 2)
    assert (refused.codes, refused.change["retryable"]) == (["ImageCheck.TimedOut"], True)
    assert await vendor.count("timers") == 0


async def test_result_after_the_deadline_is_late_even_before_the_timer(vendor: World) -> None:
    job = await vendor.check_begun()
    await vendor.deadline_passes()
    assert [told.type for told in await vendor.check_done(job)] == ["check.cancelled", "publication.refused"]
    assert await vendor.timers_due() == 0


async def test_silent_checks_job_is_sent_again_until_the_deadline(vendor: World) -> None:
    job = await vendor.check_begun()
    for sequence in (2, 3):
        assert await vendor.timers_due() == 1
        (again,) = await vendor.told()
        assert (again.type, again.sequence, again.data) == ("check.requested", sequence, job)
    assert (await vendor.check_done(job))[-1].type == "image.published"
    assert await vendor.timers_due() == 0


async def test_progress_puts_off_sending_again(vendor: World) -> None:
    job = await vendor.check_begun()
    await vendor.database.pool.execute("UPDATE timers SET due_at = now() + interval '1 second'")
    await vendor.check_progressed({**job, "check_id": "another"})
    assert await vendor.database.pool.fetchval("SELECT due_at < now() + interval '4 minutes' FROM timers")
    await vendor.check_progressed(job)
    assert await vendor.database.pool.fetchval("SELECT due_at > now() + interval '4 minutes' FROM timers")


@pytest.mark.parametrize(
    ("fact", "codes", "last"),
    [
        (image_changed(content_version="v2"), ["ImageCheck.Undetermined"], "image.known"),
        (image_changed(location="file:///other"), ["ImageCheck.Undetermined"], "image.known"),
        (image_changed(encrypted=True), ["OperationDenied.EncryptedSnapshot"], "image.known"),
        (image_changed(status="UnAvailable"), ["InvalidImageStatus"], "image.known"),
        (image_changed(status="Deprecated"), ["InvalidImageStatus"], "image.deprecated"),
        (image_deleted(), ["InvalidImageId.NotFound"], "image.deleted"),
        (image_changed(status="Deleted"), ["InvalidImageId.NotFound"], "image.deleted"),
    ],
)
async def test_what_changes_while_checking_ends_the_check(vendor: World, fact: object, codes: list[str], last: str) -> None:
    record = vendor.request("publish")
    await vendor.feed(record)
    job = (await vendor.job())[0]
    await vendor.state(fact)  # type: ignore[arg-type]
    cancelled, refused, told = await vendor.told()
    assert (cancelled.type, refused.type, told.type) == ("check.cancelled", "publication.refused", last)
    assert refused.codes == codes
    assert refused.request_id == dict(record.headers)["ce_id"].decode()  # type: ignore[union-attr]
    assert told.request_id is None
    assert await vendor.check_done(job) == []
    assert await vendor.count("timers") == 0


async def test_what_matters_not_leaves_the_check_alone(vendor: World) -> None:
    job = await vendor.check_begun()
    await vendor.state(image_changed(name="other", size_bytes=5))
    assert await vendor.types() == ["image.known"]
    assert (await vendor.check_done(job))[-1].type == "image.published"
