"""The launcher's queries: an account sees its own instances, all of them, and no others."""

import json
from typing import Any

import pytest

from services.launcher.http import _List, list_statement
from tests.catalog.services import Http
from tests.catalog.states import FRIEND, REGION, STRANGER, image_state
from tests.launcher.desk import Desk

PAID = {"id": "prod-1", "fee": {"amount": "1.25", "currency": "EUR"}}


async def test_an_account_sees_its_own_instances_page_by_page(desk: Desk, http: Http) -> None:
    await desk.know(image_state("img-1"), image_state("img-2"))
    await desk.requests.feed(
        *(
            desk.request("launch", f"i-{number:02}", FRIEND if number % 3 == 0 else STRANGER, image_id=f"img-{number % 2 + 1}")
            for number in range(24)
        )
    )
    mine = {f"i-{number:02}" for number in range(24) if number % 3}
    seen: list[dict[str, Any]] = []
    asked: dict[str, object] = {"account_id": STRANGER, "limit": 5}
    while True:
        page = (await http.get("/instances", asked)).json
        seen += page["instances"]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert [item["instance_id"] for item in seen] == sorted(mine, reverse=True)
    of_image = (await http.get("/instances", {"account_id": STRANGER, "image_id": "img-1", "region": REGION})).json
    assert {item["instance_id"] for item in of_image["instances"]} == {name for name in mine if int(name[2:]) % 2 == 0}
    assert (await http.get("/instances", {"account_id": STRANGER, "region": "us-1"})).json["instances"] == []


async def test_an_instance_tells_where_its_disk_came_from(desk: Desk, http: Http) -> None:
    await desk.know(image_state(root_product=PAID))
    launched = await desk.ask("launch", image_id="img-1")
    await desk.ask("release", reason="done")
    shown = (await http.get("/instances/i-1", {"account_id": STRANGER})).json
    assert launched.state is not None
    assert shown["system_disk"] == launched.state["system_disk"]
    assert (shown["state"], shown["release_reason"]) == ("released", "done")
    assert shown["released_at"] == shown["charge"]["closed_at"]
    assert (shown["charge"]["amount"], shown["charge"]["currency"]) == ("1.25", "EUR")


@pytest.mark.parametrize("instance_id", ["i-9", "i-1\x00", "x" * 200, "i-1"])
async def test_another_accounts_instance_is_not_there(desk: Desk, http: Http, instance_id: str) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", FRIEND, image_id="img-1")
    answer = await http.get(f"/instances/{instance_id}", {"account_id": STRANGER})
    assert (answer.status, answer.json["code"]) == (404, "InvalidInstanceId.NotFound")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "account_id"),
        ({"account_id": "a b"}, "account_id"),
        ({"account_id": "a", "limit": 101}, "limit"),
        ({"account_id": "a", "status": "x"}, "status"),
        ({"account_id": "a", "cursor": "AAAA"}, "cursor"),
    ],
)
async def test_a_bad_query_is_refused_by_the_name_of_the_parameter(http: Http, given: dict[str, object], field: str) -> None:
    answer = await http.get("/instances", given)
    assert answer.status == 400
    assert [problem["field"] for problem in answer.json["problems"]] == [field]


async def test_a_page_is_cut_from_an_index_before_charges_are_looked_up(desk: Desk) -> None:
    await desk.database.pool.execute(
        """
        INSERT INTO instances SELECT 'i-'||n, 'a-'||n % 20, 'eu-1', NULL, 'launched', 'd-'||n, 'img-'||n % 2, 1, NULL, NULL,
            'community', now() - n * interval '1 second', now(), NULL, NULL FROM generate_series(1, 20000) AS n
        """
    )
    await desk.database.pool.execute("ANALYZE")
    for asked, index in (
        (_List(account_id="a-7"), "instances_account"),
        (_List(account_id="a-7", image_id="img-1"), "instances_image"),
    ):
        statement, arguments = list_statement(asked, None)
        text = await desk.database.pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}", *arguments)
        nodes = _nodes(json.loads(text)[0]["Plan"])
        reads = [node for node in nodes if node.get("Relation Name") == "instances"]
        assert [node["Index Name"] for node in reads] == [index]
        assert reads[0]["Actual Rows"] <= 26


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]
