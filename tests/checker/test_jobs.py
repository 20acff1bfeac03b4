"""Jobs and cancels as they come: each check is done once, answered whenever it is asked for, and not at all once cancelled."""

from pathlib import Path

from services.checker.adapters.jobs import renew_claim
from shared.contracts.checks import CheckCancelled
from tests.checker.desk import Desk, job

CANCEL = CheckCancelled(check_id="check-1", image_id="img-1")


async def test_a_job_asked_for_in_several_events_is_done_once(desk: Desk) -> None:
    first = desk.record(job(publication_id="pub-1"))
    await desk.reader.feed(first, first)
    await desk.ask(job(publication_id="pub-2"), correlation_id="request-2")
    assert await desk.count("check_jobs") == 1
    assert await desk.turn()
    assert not await desk.turn()
    (told,) = await desk.told()
    assert (told.type, told.key, told.correlation_id) == ("check.completed", "img-1", "request-1")
    assert (told.data["check_id"], told.data["publication_id"]) == ("check-1", "pub-1")


async def test_asked_again_it_answers_again_and_checks_nothing(desk: Desk, image: Path) -> None:
    told = await desk.check(job(image=image))
    assert told.data["complete"]
    image.unlink()
    await desk.ask(job(image=image), correlation_id="request-2")
    (again,) = await desk.told()
    assert again.data == told.data
    assert again.sequence > told.sequence
    assert again.correlation_id == "request-1"
    assert not await desk.turn()
    assert await desk.count("reports") == 1


async def test_asked_again_meanwhile_it_answers_when_it_is_done(desk: Desk) -> None:
    await desk.ask(job())
    claim = await desk.claim()
    await desk.ask(job())
    assert await desk.told() == []
    assert await renew_claim(desk.database.pool, claim, 60)
    assert not await desk.turn()


async def test_a_waiting_check_that_is_cancelled_is_never_begun(desk: Desk) -> None:
    await desk.ask(job(), job("check-2"))
    await desk.ask(CANCEL)
    assert await desk.turn()
    assert not await desk.turn()
    assert [told.data["check_id"] for told in await desk.told()] == ["check-2"]
    await desk.ask(job())
    assert not await desk.turn()
    assert await desk.states() == {"check-1": "cancelled", "check-2": "completed"}


async def test_a_running_check_that_is_cancelled_says_nothing(desk: Desk) -> None:
    await desk.ask(job())
    claim = await desk.claim()
    await desk.ask(CANCEL)
    assert not await renew_claim(desk.database.pool, claim, 60)
    await desk.workers._progress(desk.database, claim, ("digest", 1, 2))
    await desk.workers._tell(desk.database, claim, None, "too late")
    await desk.lease_runs_out()
    assert not await desk.turn()
    assert await desk.told() == []
    assert await desk.states() == {"check-1": "cancelled"}


async def test_a_completed_check_stays_when_it_is_cancelled(desk: Desk) -> None:
    told = await desk.check(job())
    await desk.ask(CANCEL)
    await desk.ask(job())
    (again,) = await desk.told()
    assert again.data == told.data


async def test_a_cancel_that_comes_first_leaves_nothing_to_do(desk: Desk) -> None:
    await desk.ask(CANCEL)
    await desk.ask(CANCEL)
    await desk.ask(job(), job())
    assert not await desk.turn()
    assert await desk.told() == []
    assert await desk.states() == {"check-1": "cancelled"}
