"""Claims: one worker a job, fenced by the claim's number, taken over when the lease runs out, not for ever."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from services.checker.adapters.inspector_process import OnProgress
from services.checker.adapters.jobs import Claim, claim_job, renew_claim
from shared.contracts.checks import CheckRequested
from shared.contracts.report import ImageFile, Report
from tests.checker.desk import Desk, Told, job

DIGEST = "sha256:" + "a" * 64


def report(report_id: str) -> Report:
    given = {
        "report_id": report_id,
        "image": ImageFile(digest=DIGEST, size_bytes=1),
        "rules_version": "1",
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T00:00:00Z",
    }
    return Report.model_validate(given)


async def lost_and_taken_over(desk: Desk) -> tuple[Claim, Claim]:
    """The claim of a worker that fell silent, and of the one that took its job over."""
    await desk.ask(job())
    lost = await desk.claim()
    await desk.lease_runs_out()
    current = await desk.claim()
    assert (lost.number, current.number) == (1, 2)
    return lost, current


async def test_a_lost_claim_is_not_renewed(desk: Desk) -> None:
    lost, current = await lost_and_taken_over(desk)
    await desk.lease_runs_out()
    assert not await renew_claim(desk.database.pool, lost, 60)
    over = "SELECT lease_until < clock_timestamp() FROM check_jobs"
    assert await desk.database.pool.fetchval(over)
    assert await renew_claim(desk.database.pool, current, 60)
    assert not await desk.database.pool.fetchval(over)


async def test_a_lost_claim_tells_no_progress(desk: Desk) -> None:
    lost, current = await lost_and_taken_over(desk)
    await desk.workers._progress(desk.database, lost, ("digest", 9, 10))
    assert await desk.told() == []
    await desk.workers._progress(desk.database, current, ("digest", 1, 10))
    (told,) = await desk.told()
    assert (told.type, told.data["done"]) == ("check.progressed", 1)


async def test_a_lost_claim_completes_nothing(desk: Desk) -> None:
    lost, current = await lost_and_taken_over(desk)

    async def nothing_of_the_lost() -> list[Told]:
        await desk.workers._tell(desk.database, lost, report("of-the-lost"), "")
        assert not await desk.database.pool.fetchval("SELECT EXISTS (SELECT FROM reports WHERE report_id = 'of-the-lost')")
        return await desk.told()

    assert await nothing_of_the_lost() == []
    await desk.workers._tell(desk.database, current, report("of-the-current"), "")
    (told,) = await desk.told()
    assert (told.type, told.data["report_id"]) == ("check.completed", "of-the-current")
    assert await nothing_of_the_lost() == []
    assert await desk.database.pool.fetchval("SELECT result->>'report_id' FROM check_jobs") == "of-the-current"


async def test_a_held_lease_is_nobody_elses(desk: Desk) -> None:
    await desk.ask(job())
    claim = await desk.claim()
    assert not await desk.turn()
    await desk.lease_runs_out()
    assert await renew_claim(desk.database.pool, claim, 60)
    assert not await desk.turn()


@pytest.mark.parametrize(("lost", "error"), [(1, "No such file"), (2, "the check was given up after 2 tries")])
async def test_tries_are_bounded(make_desk: Callable[..., Desk], images: Path, lost: int, error: str) -> None:
    desk = make_desk(claims_max=2)
    await desk.ask(job(image=images / "missing"))
    for _ in range(lost):
        await desk.claim()
        await desk.lease_runs_out()
    assert await desk.turn()
    (told,) = await desk.told()
    assert error in told.error
    assert told.correlation_id == "request-1"
    assert await desk.states() == {"check-1": "completed"}
    assert not await desk.turn()


async def test_claims_at_once_take_a_job_each_and_wait_for_none(desk: Desk) -> None:
    await desk.ask(job("check-1"), job("check-2"))
    transaction = desk.database.transaction
    async with asyncio.timeout(10), transaction() as one, transaction() as two, transaction() as three:
        claims = [await claim_job(tx, 60) for tx in (one, two, three)]
    assert [claim and claim.check_id for claim in claims] == ["check-1", "check-2", None]


async def test_what_was_lost_keeps_its_place_before_what_came_later(desk: Desk) -> None:
    await desk.ask(job("check-1"))
    await desk.ask(job("check-2"))
    await desk.claim()
    await desk.lease_runs_out()
    await desk.ask(job("check-3"))
    assert [(await desk.claim()).check_id for _ in range(3)] == ["check-1", "check-2", "check-3"]


async def test_a_claim_takes_one_job_whatever_the_plan(desk: Desk) -> None:
    """With the statistics of a table of one row the planner joins from the other side."""
    await desk.ask(job("check-0"))
    await desk.database.pool.execute("ANALYZE check_jobs")
    await desk.ask(*(job(f"check-{number}") for number in range(1, 6)))
    await desk.claim()
    assert sorted((await desk.states()).values()) == ["running", *["waiting"] * 5]


class Slow:
    """A check that is done when it is let go on; remembers whether it was cancelled before."""

    def __init__(self) -> None:
        self.began, self.go_on, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, request: CheckRequested, _: OnProgress) -> Report:
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return report(f"slow-{request.check_id}")


async def test_a_worker_that_was_too_slow_is_not_heard(desk: Desk, image: Path) -> None:
    slow = Slow()
    late = Desk(desk.database, desk.settings, slow)
    await desk.ask(job(image=image))
    turning = asyncio.create_task(late.turn())
    async with asyncio.timeout(20):
        await slow.began.wait()
    await desk.lease_runs_out()
    assert await desk.turn()
    slow.go_on.set()
    assert await turning
    # The second check may have told how far it was.
    (told,) = [one for one in await desk.told() if one.type == "check.completed"]
    assert told.data["complete"]
    assert await desk.count("reports") == 1


async def test_a_worker_holds_its_claim_and_shows_that_it_is_alive(make_desk: Callable[..., Desk]) -> None:
    slow, beats = Slow(), []
    desk = make_desk(renew_every_s=0.02)
    busy = Desk(desk.database, desk.settings, slow)
    await desk.ask(job())
    turning = asyncio.create_task(busy.workers._turn(desk.database, lambda: beats.append(1)))
    await desk.renewed(times=3)
    assert len(beats) >= 3
    slow.go_on.set()
    assert await turning
    assert [told.data["complete"] for told in await desk.told()] == [True]


async def test_a_worker_that_lost_its_claim_stops_checking(make_desk: Callable[..., Desk]) -> None:
    slow = Slow()
    desk = make_desk()
    hasty = Desk(desk.database, make_desk(renew_every_s=0.02).settings, slow)
    await desk.ask(job())
    turning = asyncio.create_task(hasty.turn())
    async with asyncio.timeout(20):
        await slow.began.wait()
        # What another's claim does, without a race against the renewals.
        await desk.database.pool.execute("UPDATE check_jobs SET claim_number = claim_number + 1")
        assert await turning
    assert slow.cancelled.is_set()
    assert await desk.told() == []
