"""The read model under duplicates, stale and out-of-order states, deletion, and records that could not be read."""

import random
from typing import Any

import pytest

from services.catalog.handlers.image_events import apply_image_events
from shared.database.pool import Database
from tests.catalog.services import Http, Reader
from tests.catalog.states import FRIEND, OWNER, REGION, STRANGER, Log, image_event, image_state

ASK = {"region": REGION, "account_id": STRANGER}


async def _names(http: Http, account: str = STRANGER) -> dict[str, str]:
    page = (await http.get("/images", {"region": REGION, "account_id": account})).json
    return {item["image_id"]: item["name"] for item in page["images"]}


async def test_a_batch_keeps_the_last_state_of_each_image(reader: Reader, log: Log, http: Http) -> None:
    await reader.feed(
        log.image(image_state(name="first"), sequence=1),
        log.image(image_state("img-2", name="other"), sequence=5),
        log.image(image_state(name="second"), sequence=2),
        log.image(image_state(name="third"), sequence=9),
    )
    assert await _names(http) == {"img-1": "third", "img-2": "other"}


async def test_duplicates_and_stale_states_change_nothing(reader: Reader, log: Log, http: Http) -> None:
    live = log.image(image_state(name="live"), sequence=4)
    withdrawn = log.image(image_state(name="withdrawn", public=False), sequence=7)
    await reader.feed(live, withdrawn)
    assert await _names(http) == {}
    await reader.feed(
        log.raw("img-1", list(live.headers), live.value),
        log.image(image_state(name="late"), sequence=6),
        log.image(image_state(name="same sequence"), sequence=7),
    )
    assert await _names(http) == {}
    assert await _names(http, OWNER) == {"img-1": "withdrawn"}


async def test_the_model_guards_itself_where_the_plumbing_did_not(database: Database, http: Http) -> None:
    """A re-drive comes by another way than the reader: the statement itself takes only what is newer."""
    newer = image_event(image_state(public=False, shared_with=[]), sequence=8)
    older = image_event(image_state(shared_with=[FRIEND]), sequence=7)
    for event in (newer, older):
        async with database.transaction() as tx:
            await apply_image_events(tx, [event])
    assert await _names(http) == {}
    assert await _names(http, FRIEND) == {}
    async with database.transaction() as tx:
        await apply_image_events(tx, [image_event(None, sequence=7)])
    assert await _names(http, OWNER) == {"img-1": "name-of-img-1"}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_order_the_newest_state_stands(database: Database, http: Http, seed: int) -> None:
    """Any order, any batches, duplicates: the end is the newest state of each image."""
    chance = random.Random(seed)
    events, newest = [], {}
    for number in range(12):
        image_id = f"img-{number}"
        for sequence in range(1, 6):
            state = image_state(
                image_id,
                name=f"v{sequence}",
                public=chance.random() < 0.5,
                status=chance.choice(["Available", "Available", "Deleted"]),
                shared_with=chance.sample([FRIEND, "other"], k=chance.randrange(3)),
            )
            newest[image_id] = state
            events.append(image_event(state, sequence=sequence))
    events += chance.sample(events, 20)
    chance.shuffle(events)
    while events:
        batch, events = events[: (size := chance.randrange(1, 15))], events[size:]
        async with database.transaction() as tx:
            await apply_image_events(tx, batch)
    seen = {account: set(await _names(http, account)) for account in (OWNER, FRIEND, STRANGER)}
    alive = {image_id for image_id, state in newest.items() if state.status != "Deleted"}
    public = {image_id for image_id in alive if newest[image_id].publication is not None}
    assert seen == {
        OWNER: alive,
        STRANGER: public,
        FRIEND: public | {image_id for image_id in alive if FRIEND in newest[image_id].shared_with},
    }


async def test_a_share_taken_back_is_gone_and_a_new_one_is_there(reader: Reader, log: Log, http: Http) -> None:
    await reader.feed(log.image(image_state(public=False, shared_with=[FRIEND]), sequence=1))
    assert await _names(http, FRIEND) == {"img-1": "name-of-img-1"}
    await reader.feed(log.image(image_state(public=False, shared_with=[STRANGER]), sequence=2))
    assert await _names(http, FRIEND) == {}
    assert await _names(http, STRANGER) == {"img-1": "name-of-img-1"}


@pytest.mark.parametrize("account", [OWNER, FRIEND, STRANGER])
async def test_a_deleted_image_is_nobodys(reader: Reader, log: Log, http: Http, account: str) -> None:
    """Even if its state still says published, and shared."""
    await reader.feed(log.image(image_state(shared_with=[FRIEND]), sequence=1))
    assert await _names(http, account) == {"img-1": "name-of-img-1"}
    await reader.feed(log.image(image_state(shared_with=[FRIEND], status="Deleted"), sequence=2))
    assert await _names(http, account) == {}
    assert (await http.get("/images/img-1", {"region": REGION, "account_id": account})).status == 404


async def test_of_an_image_that_does_not_exist_nothing_is_kept(reader: Reader, log: Log, database: Database) -> None:
    """Answers about unknown images carry `state: null`; such an event also ends whatever an older one claimed."""
    await reader.feed(log.image(None, sequence=1, image_id="never-was"))
    await reader.feed(log.image(image_state(shared_with=[FRIEND]), sequence=1), log.image(None, sequence=2))
    await reader.feed(log.image(image_state("img-2", shared_with=[FRIEND]), sequence=1))
    await reader.feed(log.image(None, sequence=2, image_id="img-2"))
    counts = await database.pool.fetchrow("SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM image_shares)")
    assert tuple(counts) == (0, 0)


@pytest.mark.parametrize("account", [OWNER, FRIEND, STRANGER])
async def test_what_could_not_be_read_hides_the_image_until_something_newer_comes(
    reader: Reader, log: Log, http: Http, account: str
) -> None:
    """Fail closed: the unreadable record may have been the unpublish."""
    ask = {"region": REGION, "account_id": account}
    state = image_state(shared_with=[FRIEND])
    await reader.feed(log.image(state, sequence=1), log.image(image_state("img-2"), sequence=1))
    await reader.feed(log.garbage(log.image(state, sequence=3)))
    assert set(await _names(http, account)) == {"img-2"}
    assert (await http.get("/images/img-1", ask)).status == 404
    await reader.feed(log.image(state, sequence=2))
    assert (await http.get("/images/img-1", ask)).status == 404
    await reader.feed(log.image(state, sequence=4))
    assert (await http.get("/images/img-1", ask)).status == 200


async def test_every_answer_tells_how_new_it_is(reader: Reader, database: Database, log: Log, http: Http) -> None:
    assert (await http.get("/images", ASK)).json["as_of"] is None
    for sequence, minutes, expected in ((1, 5, "00:05"), (2, 9, "00:09"), (3, 2, "00:09")):
        async with database.transaction() as tx:
            await apply_image_events(tx, [image_event(image_state(), sequence=sequence, minutes=minutes)])
        for path in ("/images", "/images/img-1"):
            assert (await http.get(path, ASK)).json["as_of"] == f"2026-01-01T{expected}:00Z"
    assert (await http.get("/images", {**ASK, "name": "none"})).json["as_of"] == "2026-01-01T00:09:00Z"
    # An event of another image tells of time too.
    await reader.feed(log.image(image_state("img-2"), sequence=1))
    assert (await http.get("/images", ASK)).json["as_of"] > "2026-01-01T00:09:00Z"


async def test_an_item_tells_what_a_chooser_needs(reader: Reader, log: Log, http: Http) -> None:
    deprecation = {"since": "2026-01-02T00:00:00Z", "replacement_image_id": "img-9"}
    state = image_state(status="Deprecated", deprecation=deprecation, family="line", size_bytes=5)
    await reader.feed(log.image(state, sequence=1))
    item: dict[str, Any] = (await http.get("/images/img-1", ASK)).json
    assert item["tags"]["acs:ecs:image:osVersion"] == "Debian 12"
    assert item["publication"]["state"] == "published"
    assert (item["check"]["outcome"], item["check"]["report_id"]) == ("passed", "report-1")
    assert item["deprecation"]["replacement_image_id"] == "img-9"
    assert (item["owner_account_id"], item["family"], item["size_bytes"]) == (OWNER, "line", 5)
