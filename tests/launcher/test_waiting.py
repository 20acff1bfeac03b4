"""Requests that overtook what they need, copies that are stale or could not be read."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.topics import PARTITIONS
from tests.catalog.states import FRIEND, OWNER, REGION, STRANGER, image_state, publication
from tests.launcher.desk import Desk


async def test_a_launch_waits_for_an_image_on_its_way(desk: Desk) -> None:
    desk.requests.ends = {"image-events": 5}
    await desk.requests.feed(desk.request("launch", image_id="img-1"))
    assert await desk.answers() == []
    assert await desk.requests.unpark() == 0, "image-events is not read that far yet"
    await _read_up_to(desk, "image-events", 5)
    await desk.know(image_state())
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert answer.what == "instance.launched"
    assert await desk.parked() == []


async def test_a_family_waits_for_all_of_image_events_and_for_the_account(desk: Desk) -> None:
    """Any image may turn out to be of the family; and a launch that comes back is answered with whatever is missing then."""
    desk.requests.ends = {"image-events": 3, "account-events": 4}
    await desk.requests.feed(desk.request("launch", "i-1", "newcomer", family=f"acs:{OWNER}:line"))
    await _read_up_to(desk, "image-events", 3, partitions=15)
    await _read_up_to(desk, "account-events", 4)
    assert await desk.requests.unpark() == 0, "one partition of image-events is not read that far yet"
    await desk.know(image_state(family="line"))
    await desk.know_accounts({"newcomer": "active"})
    await _read_up_to(desk, "image-events", 3)
    await _read_up_to(desk, "account-events", 3)
    assert await desk.requests.unpark() == 0, "account-events is not read that far yet"
    await _read_up_to(desk, "account-events", 4)
    assert await desk.requests.unpark() == 1
    assert [answer.what for answer in await desk.answers()] == ["instance.launched"]


async def test_two_seconds_at_least(desk: Desk) -> None:
    await desk.requests.feed(desk.request("launch", image_id="img-1"))
    waited = await desk.database.pool.fetchval("SELECT not_before - parked_at FROM parked_requests")
    assert waited == timedelta(seconds=2)


@pytest.mark.parametrize("hidden", [None, {"public": False}, {"region": "us-1"}, {"status": "Deleted"}])
async def test_what_never_comes_is_answered_not_found_unknown_and_hidden_alike(desk: Desk, hidden: dict[str, Any] | None) -> None:
    if hidden is not None:
        await desk.know(image_state(**hidden))
    await desk.requests.feed(desk.request("launch", image_id="img-1"))
    assert await desk.parked() == ["i-1"]
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert answer.what == "instance.refused InvalidImageId.NotFound"
    assert answer.change.keys() & {"publication_id", "image_sequence", "image_id"} == set()
    assert answer.change["retryable"] is False
    assert await desk.instances() == []


async def test_an_account_on_its_way_is_waited_for(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.requests.feed(desk.request("launch", "i-1", "newcomer", image_id="img-1"))
    await desk.requests.feed(desk.request("launch", "i-2", "never", image_id="img-1"))
    await desk.know_accounts({"newcomer": "active"})
    await desk.requests.unpark()
    assert [answer.what for answer in await desk.answers()] == [
        "instance.launched",
        "instance.refused InvalidAccount.NotFound",
    ]


async def test_image_and_account_are_waited_for_together(desk: Desk) -> None:
    desk.requests.ends = {"image-events": 1, "account-events": 9}
    await desk.requests.feed(desk.request("launch", "i-1", "newcomer", image_id="img-1"))
    await _read_up_to(desk, "image-events", 1)
    assert await desk.requests.unpark() == 0
    await _read_up_to(desk, "account-events", 9)
    assert await desk.requests.unpark() == 1


async def test_later_requests_of_the_key_wait_behind(desk: Desk) -> None:
    """A release sent after the launch must not be answered before it."""
    await desk.requests.feed(
        desk.request("launch", image_id="img-1", request_id="r-1"),
        desk.request("release", request_id="r-2"),
        desk.request("release", "i-2", request_id="r-3"),
    )
    await desk.know(image_state())
    assert [answer.request_id for answer in await desk.answers()] == ["r-3"]
    while await desk.parked():
        await desk.requests.unpark()
    assert [(answer.request_id, answer.what) for answer in await desk.answers()] == [
        ("r-1", "instance.launched"),
        ("r-2", "instance.released"),
    ]


async def test_a_launch_of_what_the_catalog_showed_waits_until_we_know_it(desk: Desk) -> None:
    await desk.know(image_state(status="UnAvailable"))
    desk.requests.ends = {"image-events": 2}
    await desk.requests.feed(desk.request("launch", image_id="img-1", seen_sequence=2))
    assert await desk.answers() == []
    await desk.know(image_state(), sequence=2)
    await _read_up_to(desk, "image-events", 2)
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert (answer.what, answer.change["image_sequence"]) == ("instance.launched", 2)
    assert (await desk.ask("launch", "i-2", image_id="img-1", seen_sequence=2)).what == "instance.launched"
    assert (await desk.ask("launch", "i-3", image_id="img-1", seen_sequence=1)).what == "instance.launched"


async def test_a_made_up_sequence_is_not_waited_for_for_ever(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.requests.feed(desk.request("launch", image_id="img-1", seen_sequence=2**62))
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert answer.what == "instance.refused InvalidImageId.NotFound"


async def test_a_request_that_expires_while_it_waits_is_expired(desk: Desk) -> None:
    await desk.requests.feed(desk.request("launch", image_id="img-1", expires_at="2999-01-01T00:00:00Z"))
    await desk.know(image_state())
    # The row's own copy of the broker's time, seven days and more ago.
    await desk.database.pool.execute("UPDATE parked_requests SET recorded_at = now() - interval '7 days 1 minute'")
    await desk.requests.unpark()
    assert [answer.codes for answer in await desk.answers()] == [["Request.Expired"]]


@pytest.mark.parametrize("account", [OWNER, FRIEND, STRANGER])
async def test_nothing_is_launched_or_laid_anew_on_an_unclear_image(desk: Desk, account: str) -> None:
    """The record that could not be read may have been the take-down: fail closed until something newer comes."""
    state = image_state(shared_with=[FRIEND])
    await desk.know(state, image_state("img-2"))
    assert (await desk.ask("launch", "i-1", account, image_id="img-1")).what == "instance.launched"
    await desk.images.feed(desk.image_log.garbage(desk.image_log.image(state, sequence=2)))
    for what, instance, more in (
        ("launch", "i-2", {"image_id": "img-1"}),
        ("reinit", "i-1", {}),
    ):
        await desk.requests.feed(desk.request(what, instance, account, **more))
        await desk.requests.unpark()
        (answer,) = await desk.answers()
        assert answer.codes == ["InvalidImageId.NotFound"]
    assert (await desk.ask("replace-os", "i-1", account, image_id="img-2")).what == "instance.os-replaced"
    await desk.requests.feed(desk.request("replace-os", "i-1", account, image_id="img-1"))
    await desk.know(state, sequence=3)
    await desk.requests.unpark()
    assert [answer.what for answer in await desk.answers()] == ["instance.os-replaced"]


async def test_nothing_is_launched_for_an_unclear_account(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.accounts.feed(desk.account_log.garbage(desk.account(STRANGER, sequence=2)))
    await desk.requests.feed(desk.request("launch", image_id="img-1"))
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert answer.codes == ["InvalidAccount.NotFound"]
    assert answer.change["retryable"] is True
    await desk.accounts.feed(desk.account(STRANGER, "active", sequence=3))
    assert (await desk.ask("launch", image_id="img-1")).what == "instance.launched"


async def test_stale_and_repeated_states_are_ignored(desk: Desk) -> None:
    live = desk.image_log.image(image_state(), sequence=4)
    withdrawn = desk.image_log.image(image_state(publication=publication("unpublished")), sequence=5)
    await desk.images.feed(withdrawn, live)
    await desk.images.feed(
        desk.image_log.raw("img-1", list(live.headers), live.value), desk.image_log.image(image_state(), sequence=3)
    )
    await desk.requests.feed(desk.request("launch", image_id="img-1"))
    await desk.requests.unpark()
    assert [answer.codes for answer in await desk.answers()] == [["InvalidImageId.NotFound"]]


async def test_of_what_does_not_exist_no_copy_is_kept(desk: Desk) -> None:
    await desk.images.feed(desk.image_log.image(image_state("img-2"), sequence=1))
    await desk.images.feed(
        desk.image_log.image(None, sequence=1),
        desk.image_log.image(None, sequence=2, image_id="img-2"),
        desk.image_log.image(image_state("img-3"), sequence=1),
    )
    rows = await desk.database.pool.fetch("SELECT image_id FROM images")
    assert [row["image_id"] for row in rows] == ["img-3"]


async def test_a_copy_keeps_what_decisions_need(desk: Desk) -> None:
    await desk.know(image_state(shared_with=["b.1", "a_2", "c-3"], family='odd "family", {}\\'))
    row = await desk.database.pool.fetchrow("SELECT * FROM images")
    assert (sorted(row["shared_with"]), row["family"], row["region"]) == (["a_2", "b.1", "c-3"], 'odd "family", {}\\', REGION)


async def _read_up_to(desk: Desk, topic: str, offset: int, *, partitions: int = PARTITIONS) -> None:
    """Claim that `topic` was read up to `offset` in the first `partitions` partitions, by default all that may be asked about."""
    await desk.database.pool.execute(
        "INSERT INTO consumer_offsets SELECT $1, number, $2 FROM generate_series(0, $3::int - 1) AS number "
        "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = $2",
        topic,
        offset,
        partitions,
    )
