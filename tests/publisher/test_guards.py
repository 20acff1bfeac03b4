"""Guards that matter only when two things happen at once, or when something else has gone wrong: each test builds that."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from shared.messaging.records import Record, read
from tests.publisher.values import FRIEND, OWNER, STRANGER, account_fact, image_changed, image_deleted, image_fact, result
from tests.publisher.world import World
from tests.waits import blocked


async def during(world: World, record: Record, meanwhile: Record) -> None:
    """Decide `record`, and before that commits let the consumer of `meanwhile` run into it; `TimeoutError` if it does not."""
    event = read(record).event
    assert event is not None
    async with asyncio.TaskGroup() as tasks, world.database.transaction() as tx:
        await world.handlers[record.topic](tx, [event])
        tasks.create_task(world.feed(meanwhile))
        await blocked(world.database)


async def order_of(world: World) -> list[str]:
    return [one.type for one in sorted(await world.told(), key=lambda one: one.sequence)]


class TestAbsence:
    """What does not exist has no row to lock: `state: null` and the first fact must take their sequences as they were decided."""

    async def test_of_an_image_is_told_before_its_first_fact(self, world: World) -> None:
        await during(world, world.request("unpublish"), world.record(image_fact(), "img-1"))
        nothing, known = sorted(await world.told(), key=lambda one: one.sequence)
        assert (nothing.type, nothing.data.get("state"), known.type) == ("request.refused", None, "image.known")

    async def test_of_an_image_waits_for_a_fact_that_ends_it(self, world: World) -> None:
        await during(world, world.record(image_fact(), "img-1"), world.request("unpublish", by=STRANGER))
        assert await world.waiting_is_over() == 1
        known, refused = sorted(await world.told(), key=lambda one: one.sequence)
        assert (known.type, refused.codes, refused.state["image_id"]) == ("image.known", ["InvalidImageId.NotFound"], "img-1")

    async def test_of_an_account_is_told_before_its_first_fact(self, world: World) -> None:
        await during(world, world.request("permit", OWNER), world.record(account_fact(), OWNER))
        nothing, known = sorted(await world.told(), key=lambda one: one.sequence)
        assert (nothing.type, nothing.data.get("state"), known.type) == ("request.refused", None, "account.known")

    async def test_of_an_account_waits_for_a_fact_that_ends_it(self, world: World) -> None:
        await during(world, world.record(account_fact(), OWNER), world.request("permit", OWNER))
        assert await order_of(world) == ["account.known", "account.permitted"]


@pytest.mark.parametrize("what", ["publish", "result", "share"])
class TestStanding:
    """A decision that rests on an account and a fact about that account exclude each other."""

    @staticmethod
    async def _decided(vendor: World, what: str) -> tuple[Record, str]:
        """The record whose decision rests on an account, and that account."""
        if what == "result":
            job = await vendor.check_begun()
            given = {"check_id": job["check_id"], "content_version": job["content_version"]}
            return vendor.record(result(**given), "img-1"), OWNER
        if what == "share":
            return vendor.request("share", account_id=FRIEND), FRIEND
        return vendor.request("publish"), OWNER

    async def test_the_fact_waits_for_the_decision(self, vendor: World, what: str) -> None:
        record, account_id = await self._decided(vendor, what)
        await vendor.told()
        await during(vendor, record, vendor.record(account_fact(account_id, status="blocked"), account_id))
        told = await vendor.told()
        assert all("problems" not in one.change or not one.codes for one in told if one.topic == "image-events")
        assert told[-1].type == "account.known"

    async def test_the_decision_waits_for_the_fact_and_is_made_on_it(self, vendor: World, what: str) -> None:
        record, account_id = await self._decided(vendor, what)
        await vendor.told()
        await during(vendor, vendor.record(account_fact(account_id, status="blocked"), account_id), record)
        refused = (await vendor.told())[-1]
        assert refused.codes == ["Account.NotActive"]


@pytest.mark.parametrize(
    ("column", "value"), [("location", "file:///images/two.qcow2"), ("content_version", "v2")], ids=["location", "version"]
)
async def test_a_result_publishes_only_the_content_that_was_checked(vendor: World, column: str, value: str) -> None:
    """A fact that changes the content ends the check by itself. Should anything else have changed it, the result is refused."""
    job = await vendor.check_begun()
    await vendor.database.pool.execute(f"UPDATE images SET {column} = $1", value)
    (refused,) = await vendor.check_done(job)
    assert (refused.type, refused.codes) == ("publication.refused", ["ImageCheck.Undetermined"])
    assert "content changed" in str(refused.change["problems"])


async def test_an_operator_takes_down_in_the_region_named_only(vendor: World) -> None:
    await vendor.published()
    for what in ("take-down", "take-down-lift"):
        await vendor.feed(order := vendor.request(what, by="ops", region="us-1"))
        assert await vendor.waiting_is_over() == 1
        assert (await vendor.answer_to(order)).codes == ["InvalidImageId.NotFound"]
    assert await vendor.database.pool.fetchval("SELECT state FROM publications") == "published"


@pytest.mark.parametrize(
    ("facts", "shares"),
    [
        ([image_fact(shared_with=[FRIEND]), image_changed(shared_with=[STRANGER])], [FRIEND]),
        ([image_fact(shared_with=[FRIEND]), image_fact(shared_with=[STRANGER])], [FRIEND]),
        ([image_fact(), image_fact(shared_with=[STRANGER])], []),
        ([image_changed(shared_with=[STRANGER])], []),
        ([image_changed(), image_changed(shared_with=[STRANGER])], []),
        ([image_changed(), image_fact(shared_with=[STRANGER])], [STRANGER]),
    ],
    ids=["change", "again", "late", "change first", "changes alone", "registered after a change"],
)
async def test_shares_from_before_are_taken_at_the_first_registration_alone(
    world: World, facts: list[BaseModel], shares: list[str]
) -> None:
    await world.state(*facts)
    assert (await world.told())[-1].state["shared_with"] == shares


@pytest.mark.parametrize(
    "fact",
    [
        image_changed(owner_account_id=FRIEND, name="theirs"),
        image_changed(region="us-1", name="moved"),
        image_deleted(owner_account_id=FRIEND),
        image_fact(owner_account_id=FRIEND),
    ],
    ids=["owner", "region", "deleted by another", "registered by another"],
)
async def test_a_fact_that_gives_an_image_another_owner_or_region_is_not_believed(vendor: World, fact: BaseModel) -> None:
    before = await vendor.database.pool.fetchrow("SELECT * FROM images")
    await vendor.state(fact)
    assert await vendor.told() == []
    assert await vendor.database.pool.fetchrow("SELECT * FROM images") == before


async def test_a_deleted_image_stays_deleted(vendor: World) -> None:
    await vendor.state(image_deleted())
    await vendor.told()
    await vendor.state(image_changed(), image_fact())
    assert await vendor.told() == []
    assert await vendor.database.pool.fetchval("SELECT status FROM images") == "Deleted"


class TestOrderOfLocks:
    """A batch that waits for the first of its keys holds none of the later ones, in whatever order it names them."""

    async def _waits_for_first_alone(self, world: World, table: str, first: str, second: str, *batch: Record) -> None:
        key = f"{table.removesuffix('s')}_id"
        lock = f"SELECT FROM {table} WHERE {key} = $1 FOR UPDATE"
        async with asyncio.TaskGroup() as tasks, world.database.transaction() as tx:
            await tx.connection.execute(lock, first)
            tasks.create_task(world.feed(*batch))
            await blocked(world.database)
            await tx.connection.execute(f"{lock} NOWAIT", second)

    @pytest.mark.parametrize("topic", ["image-facts", "publication-requests", "operator-requests", "check-results"])
    async def test_images(self, vendor: World, topic: str) -> None:
        await vendor.state(image_fact("img-2"))
        jobs = [await vendor.check_begun(name) for name in ("img-2", "img-1")] if topic == "check-results" else []
        batch = {
            "image-facts": [vendor.record(image_changed(name), name) for name in ("img-2", "img-1")],
            "publication-requests": [vendor.request("unpublish", name) for name in ("img-2", "img-1")],
            "operator-requests": [vendor.request("take-down", name) for name in ("img-2", "img-1")],
            "check-results": [vendor.record(_result_of(job), job["image_id"]) for job in jobs],
        }[topic]
        await self._waits_for_first_alone(vendor, "images", "img-1", "img-2", *batch)

    @pytest.mark.parametrize("topic", ["account-facts", "operator-requests"])
    async def test_accounts_that_are_changed(self, vendor: World, topic: str) -> None:
        batch = {
            "account-facts": [vendor.record(account_fact(name), name) for name in (FRIEND, OWNER)],
            "operator-requests": [vendor.request("permit", name) for name in (FRIEND, OWNER)],
        }[topic]
        await self._waits_for_first_alone(vendor, "accounts", OWNER, FRIEND, *batch)

    @pytest.mark.parametrize("what", ["publish", "share", "result"])
    async def test_accounts_that_are_judged(self, vendor: World, what: str) -> None:
        await vendor.state(image_fact("img-0", owner_account_id=FRIEND))
        await vendor.ask("permit", FRIEND)
        if what == "share":
            batch = [vendor.request("share", account_id=name) for name in (STRANGER, FRIEND)]
            await self._waits_for_first_alone(vendor, "accounts", FRIEND, STRANGER, *batch)
            return
        if what == "publish":
            batch = [vendor.request("publish", "img-0", by=FRIEND), vendor.request("publish")]
        else:
            jobs = [await vendor.check_begun("img-0", by=FRIEND), await vendor.check_begun()]
            batch = [vendor.record(_result_of(job), job["image_id"]) for job in jobs]
        await self._waits_for_first_alone(vendor, "accounts", OWNER, FRIEND, *batch)


def _result_of(job: dict[str, Any]) -> BaseModel:
    return result(check_id=job["check_id"], image_id=job["image_id"], content_version=job["content_version"])
