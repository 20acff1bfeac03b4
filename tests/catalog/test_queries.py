"""Parameters, pages and plans of the catalog's queries."""

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.catalog.adapters.listing import ONE_IMAGE, Listing
from shared.database.pool import Database
from shared.http.cursors import decode_cursor, encode_cursor
from shared.http.problems import QueryRefused
from tests.catalog.services import Http, Reader
from tests.catalog.states import BEGAN, FRIEND, OWNER, REGION, STRANGER, Log, image_state

ASK = {"region": REGION, "account_id": STRANGER}


@pytest.mark.parametrize(
    ("given", "code", "fields"),
    [
        ({}, "MissingParameter", {"region", "account_id"}),
        ({"region": REGION}, "MissingParameter", {"account_id"}),
        ({**ASK, "region": "EU"}, "InvalidParameter", {"region"}),
        ({**ASK, "region": "eu\n"}, "InvalidParameter", {"region"}),
        ({**ASK, "account_id": "a" * 65}, "InvalidParameter", {"account_id"}),
        ({**ASK, "account_id": "x' OR 1=1 --"}, "InvalidParameter", {"account_id"}),
        ({**ASK, "account_id": "a\x00"}, "InvalidParameter", {"account_id"}),
        ({**ASK, "owner": ""}, "InvalidParameter", {"owner"}),
        ({**ASK, "status": "Deleted"}, "InvalidParameter", {"status"}),
        ({**ASK, "status": "available"}, "InvalidParameter", {"status"}),
        ({**ASK, "name": "n" * 129}, "InvalidParameter", {"name"}),
        ({**ASK, "name": "a\x00b"}, "InvalidParameter", {"name"}),
        ({**ASK, "os_version": "\n"}, "InvalidParameter", {"os_version"}),
        ({**ASK, "limit": 0}, "InvalidParameter", {"limit"}),
        ({**ASK, "limit": 101}, "InvalidParameter", {"limit"}),
        ({**ASK, "limit": "1; DROP TABLE images"}, "InvalidParameter", {"limit"}),
        ({**ASK, "limit": "9" * 5000}, "InvalidParameter", None),
        ({**ASK, "cursor": ""}, "InvalidParameter", {"cursor"}),
        ({**ASK, "cursor": "!"}, "InvalidParameter", {"cursor"}),
        ({**ASK, "cursor": "é" * 3}, "InvalidParameter", {"cursor"}),
        ({**ASK, "sort": "name", "limit": "x"}, "InvalidParameter", {"sort", "limit"}),
        ("region=eu-1&account_id=a&account_id=b", "InvalidParameter", {"account_id"}),
        ("region=%ff&account_id=%00", "InvalidParameter", {"region", "account_id"}),
    ],
)
async def test_a_bad_query_is_refused_by_the_name_of_the_parameter(
    http: Http, given: Any, code: str, fields: set[str] | None
) -> None:
    answer = await http.get("/images", given)
    assert answer.status == (414 if fields is None else 400)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["status"], problem["code"]) == (answer.status, code)
    assert {item["field"] for item in problem.get("problems", ())} == (fields or set())


@pytest.mark.parametrize("image_id", ["img-9", "..", "a b", "x" * 300, "img-1\x00", "img-1' OR true", "%", "\u202e"])
async def test_what_is_no_image_is_not_found(http: Http, reader: Reader, log: Log, image_id: str) -> None:
    await reader.feed(log.image(image_state(), sequence=1))
    answer = await http.get(f"/images/{image_id}", ASK)
    assert (answer.status, answer.json["code"]) == (404, "InvalidImageId.NotFound")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_each_filter_narrows(http: Http, reader: Reader, log: Log) -> None:
    tags = {"acs:ecs:image:osVersion": "Ubuntu 24.04", "acs:ecs:image:architecture": "arm64"}
    await reader.feed(
        log.image(image_state("img-1", name="other", tags=tags), sequence=1),
        log.image(image_state("img-2"), sequence=1),
        log.image(image_state("img-3", owner_account_id="vendor-2", status="Deprecated"), sequence=1),
        log.image(image_state("img-4", owner_account_id=STRANGER, public=False, tags={}), sequence=1),
        log.image(image_state("img-5", public=False, shared_with=[STRANGER], tags=tags), sequence=1),
    )
    for filters, expected in (
        ({}, {"img-1", "img-2", "img-3", "img-4", "img-5"}),
        ({"os_version": "Ubuntu 24.04"}, {"img-1", "img-5"}),
        ({"architecture": "x86_64"}, {"img-2", "img-3"}),
        ({"name": "other"}, {"img-1"}),
        ({"owner": "vendor-2"}, {"img-3"}),
        ({"owner": STRANGER}, {"img-4"}),
        ({"owner": OWNER, "architecture": "arm64"}, {"img-1", "img-5"}),
        ({"status": "Deprecated"}, {"img-3"}),
        ({"status": "Available", "os_version": "Debian 12"}, {"img-2"}),
    ):
        page = (await http.get("/images", {**ASK, **filters})).json
        assert {item["image_id"] for item in page["images"]} == expected, filters


async def test_pages_survive_what_comes_between_them(http: Http, reader: Reader, log: Log) -> None:
    """New images come before the first page, changes keep an image's place: nothing twice, nothing missed."""
    states = [image_state(f"img-{number:02}", created_at=BEGAN + timedelta(seconds=number // 3)) for number in range(30)]
    await reader.feed(*(log.image(state, sequence=1) for state in states))
    seen: list[str] = []
    asked: dict[str, object] = {**ASK, "limit": 7}
    for turn in range(10):
        page = (await http.get("/images", asked)).json
        seen += [item["image_id"] for item in page["images"]]
        newer = image_state(f"new-{turn}", created_at=BEGAN + timedelta(days=1, seconds=turn))
        changed = image_state(seen[-1], name="changed", created_at=states[int(seen[-1][4:])].created_at)
        await reader.feed(log.image(newer, sequence=1), log.image(changed, sequence=2 + turn))
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert seen == sorted(
        (state.image_id for state in states), key=lambda image_id: (int(image_id[4:]) // 3, image_id), reverse=True
    )


async def test_a_cursor_is_good_for_its_own_query_alone(http: Http, reader: Reader, log: Log) -> None:
    await reader.feed(*(log.image(image_state(f"img-{number}"), sequence=1) for number in range(3)))
    cursor = (await http.get("/images", {**ASK, "limit": 1})).json["next_cursor"]
    assert (await http.get("/images", {**ASK, "limit": 2, "cursor": cursor})).status == 200
    for other in ({"account_id": FRIEND}, {"region": "us-1"}, {"name": "x"}, {"status": "Available"}):
        answer = await http.get("/images", {**ASK, **other, "cursor": cursor})
        assert (answer.status, answer.json["problems"][0]["field"]) == (400, "cursor")


def test_a_damaged_cursor_is_refused() -> None:
    good = encode_cursor("query", BEGAN, "img-1")
    assert decode_cursor("query", good) == (BEGAN, "img-1")
    raw = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4))
    damaged = [raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :] for place in range(len(raw))]
    damaged += [raw[:length] for length in range(len(raw))] + [raw + b"x"]
    for bad in [base64.urlsafe_b64encode(item).decode().rstrip("=") for item in damaged] + ["é", "=", "a" * 199, "\x00"]:
        with pytest.raises(QueryRefused):
            decode_cursor("query", bad)


PLANNED: Sequence[tuple[str, Listing]] = (
    ("images_community", Listing(REGION, STRANGER, 25)),
    ("images_community", Listing(REGION, STRANGER, 25, after=(BEGAN + timedelta(seconds=9000), "img-9000"))),
    ("images_community_os", Listing(REGION, STRANGER, 25, os_version="os-7")),
    ("images_community_name", Listing(REGION, STRANGER, 25, name="name-7")),
    ("images_community_owner", Listing(REGION, STRANGER, 25, owner="vendor-7")),
    ("images_community_unusual", Listing(REGION, STRANGER, 25, status="UnAvailable")),
    ("images_own", Listing(REGION, "vendor-7", 25, owner="vendor-7")),
    ("image_shares_account", Listing(REGION, FRIEND, 25)),
)


@pytest.fixture
async def many(database: Database) -> Database:
    """20,000 images, as the statement of the planner's statistics would find them in production."""
    await database.pool.execute(
        """
        INSERT INTO images SELECT 'img-'||n, 1, $1, 'vendor-'||n % 200,
            CASE WHEN n % 500 = 0 THEN 'UnAvailable' ELSE 'Available' END, n % 3 <> 0,
            'name-'||n, 'os-'||n % 20, 'x86_64', $2::timestamptz + n * interval '1 second', '"image_id":1', ''
        FROM generate_series(1, 20000) AS n
        """,
        REGION,
        BEGAN,
    )
    await database.pool.execute(
        "INSERT INTO image_shares SELECT $1, $2, created_at, image_id FROM images WHERE NOT community", FRIEND, REGION
    )
    await database.pool.execute("INSERT INTO reader_keys SELECT 'image-events', image_id, '', 1, NULL, false, NULL FROM images")
    await database.pool.execute("ANALYZE")
    return database


async def test_no_page_reads_or_sorts_the_whole_set(many: Database) -> None:
    for index, listing in PLANNED:
        statement, arguments = listing.statement()
        async with many.pool.acquire() as connection:
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}", *arguments)
        nodes = _nodes(json.loads(text)[0]["Plan"])
        touched = [node for node in nodes if node.get("Relation Name") in {"images", "image_shares"}]
        assert index in {node.get("Index Name") for node in touched}, (listing, touched)
        for node in touched:
            assert node["Node Type"] != "Seq Scan", listing
            assert node["Actual Rows"] * node["Actual Loops"] <= 26, listing
        for node in nodes:
            if node["Node Type"] == "Sort":
                assert node["Actual Rows"] <= 3 * 26, listing


async def test_one_image_is_read_by_its_key(many: Database) -> None:
    text = await many.pool.fetchval(f"EXPLAIN (FORMAT JSON) {ONE_IMAGE}", "img-7", REGION, STRANGER)
    nodes = _nodes(json.loads(text)[0]["Plan"])
    assert "images_pkey" in {node.get("Index Name") for node in nodes}
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] != "applied"]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]
