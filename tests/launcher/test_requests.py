"""Requests over the real database: what is answered, and what the books say afterwards."""

from datetime import timedelta
from typing import Any

import pytest

from services.launcher.domain.instance import CREATION_FAILED
from tests.catalog.states import DIGEST, FRIEND, OWNER, STRANGER, image_state, publication
from tests.launcher.desk import Desk

PAID = {"id": "prod-1", "fee": {"amount": "0.500000", "currency": "EUR"}}


async def test_the_story_of_a_stranger(desk: Desk) -> None:
    """Launch on a community image; after the unpublish the disk cannot be laid anew, replacing the OS is the way out."""
    await desk.know(image_state("img-1"), image_state("img-2"))
    launched = await desk.ask("launch", image_id="img-1", instance_type="small")
    assert launched.what == "instance.launched"
    assert launched.state is not None
    disk = launched.state["system_disk"]
    assert (disk["image_id"], disk["image_digest"], disk["publication_id"]) == ("img-1", DIGEST, "pub-1")
    assert (disk["image_sequence"], disk["basis"]) == (1, "community")
    assert (launched.change["publication_id"], launched.change["image_sequence"]) == ("pub-1", 1)
    assert (launched.state["state"], launched.state["instance_type"]) == ("launched", "small")

    again = await desk.ask("reinit")
    assert again.what == "instance.reinitialised"
    assert again.state is not None
    assert again.state["system_disk"]["disk_id"] == disk["disk_id"]

    await desk.know(image_state("img-1", publication=publication("unpublished")))
    refused = await desk.ask("reinit")
    assert refused.what == "instance.refused OperationDenied.ImageUnpublished"
    assert refused.change["problems"][0]["advice"].startswith("replace the OS")
    assert refused.change["way_out"].startswith("replace-os")
    assert refused.change["image_sequence"] == 2
    assert refused.state == again.state, "a refusal changes nothing"

    replaced = await desk.ask("replace-os", image_id="img-2")
    assert replaced.what == "instance.os-replaced"
    assert replaced.state is not None
    new = replaced.state["system_disk"]
    assert new["image_id"] == "img-2"
    assert new["disk_id"] != disk["disk_id"]
    assert (await desk.ask("reinit")).what == "instance.reinitialised"

    released = await desk.ask("release")
    assert released.what == "instance.released"
    assert released.state is not None
    assert released.state["state"] == "released"
    assert [answer.sequence for answer in (launched, again, refused, replaced, released)] == [1, 2, 3, 4, 6]


@pytest.mark.parametrize(("account", "basis"), [(OWNER, "own"), (FRIEND, "shared")])
async def test_owner_and_earlier_shares_keep_theirs(desk: Desk, account: str, basis: str) -> None:
    await desk.know(image_state(shared_with=[FRIEND]))
    launched = await desk.ask("launch", "i-1", account, image_id="img-1")
    assert launched.state is not None
    assert launched.state["system_disk"]["basis"] == basis
    await desk.know(image_state(shared_with=[FRIEND], publication=publication("unpublished")))
    assert (await desk.ask("reinit", "i-1", account)).what == "instance.reinitialised"
    assert (await desk.ask("launch", "i-2", account, image_id="img-1")).what == "instance.launched"


async def test_a_share_counts_while_it_stands_however_the_instance_was_launched(desk: Desk) -> None:
    await desk.know(image_state())
    assert (await desk.ask("launch", image_id="img-1")).what == "instance.launched"
    await desk.know(image_state(public=False, shared_with=[STRANGER]))
    again = await desk.ask("reinit")
    assert again.what == "instance.reinitialised"
    assert again.state is not None
    disk = again.state["system_disk"]
    assert (disk["basis"], disk["image_sequence"], disk.get("publication_id")) == ("community", 2, None)
    await desk.know(image_state(public=False))
    assert (await desk.ask("reinit")).codes == ["OperationDenied.ImageUnpublished"]


async def test_publishing_anew_lifts_the_block(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", image_id="img-1")
    await desk.know(image_state(publication=publication("taken_down")))
    assert (await desk.ask("reinit")).codes == ["OperationDenied.ImageUnpublished"]
    await desk.know(image_state(publication=publication("published", "pub-2")))
    again = await desk.ask("reinit")
    assert (again.what, again.change["publication_id"]) == ("instance.reinitialised", "pub-2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "instance.launched"),
        ({"status": "Deprecated"}, "instance.launched"),
        ({"status": "UnAvailable"}, "instance.refused InvalidImageStatus"),
    ],
)
async def test_the_image_has_to_be_available(desk: Desk, given: dict[str, Any], expected: str) -> None:
    await desk.know(image_state(**given))
    answer = await desk.ask("launch", image_id="img-1")
    assert answer.what == expected
    assert bool(answer.change.get("warnings")) == (given.get("status") == "Deprecated")
    assert answer.change["image_sequence"] == 1, "refusals name what they were decided on, too"


async def test_a_disk_whose_image_is_unavailable_for_now_has_the_same_way_out(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", image_id="img-1")
    await desk.know(image_state(status="UnAvailable"))
    refused = await desk.ask("reinit")
    assert refused.codes == ["InvalidImageStatus"]
    assert refused.change["way_out"].startswith("replace-os")


async def test_a_refused_launch_leaves_its_id_free_and_a_taken_one_is_taken(desk: Desk) -> None:
    await desk.know(image_state(status="UnAvailable"))
    refused = await desk.ask("launch", image_id="img-1")
    assert (refused.what, refused.state) == ("instance.refused InvalidImageStatus", None)
    await desk.know(image_state())
    assert (await desk.ask("launch", image_id="img-1")).what == "instance.launched"
    for account in (STRANGER, FRIEND):
        taken = await desk.ask("launch", "i-1", account, image_id="img-1")
        assert taken.what == "instance.refused InvalidInstanceId.Duplicate"
    await desk.ask("release")
    assert (await desk.ask("launch", image_id="img-1")).codes == ["InvalidInstanceId.Duplicate"]
    assert len(await desk.instances()) == 1


@pytest.mark.parametrize("what", ["reinit", "replace-os", "release"])
async def test_unknown_and_a_strangers_instance_are_answered_alike_at_once(desk: Desk, what: str) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", FRIEND, image_id="img-1")
    more = {"image_id": "img-1"} if what == "replace-os" else {}
    theirs, unknown = await desk.ask(what, "i-1", **more), await desk.ask(what, "i-9", **more)
    assert theirs.what == unknown.what == "instance.refused InvalidInstanceId.NotFound"
    # Alike but for what the request itself says.
    assert str(theirs.change).replace("i-1", "i-9") == str(unknown.change)
    assert [answer.change["problems"][0]["value"] for answer in (theirs, unknown)] == ["i-1", "i-9"]
    assert unknown.state is None
    assert await desk.parked() == []
    (row,) = await desk.instances()
    assert (row["account_id"], row["state"]) == (FRIEND, "launched")


REFUSED: list[tuple[str, dict[str, Any], str, list[tuple[str, str]]]] = [
    ("launch", {"image_id": "img-9"}, "1 problem with the launch of i-1 from img-9", [("image_id", "img-9")]),
    ("launch", {"family": "line"}, "1 problem with the launch of i-1", [("family", "line")]),
    (
        "launch",
        {"image_id": "img-2"},
        "2 problems with the launch of i-1 from img-2",
        [("status", "Waiting"), ("instance_id", "i-1")],
    ),
    ("reinit", {}, "1 problem with the re-initialisation of i-1", [("image_id", "img-1")]),
    ("reinit", {"instance_id": "i-9"}, "1 problem with the re-initialisation of i-9", [("instance_id", "i-9")]),
    ("replace-os", {"image_id": "img-9"}, "1 problem with the OS replacement of i-1 by img-9", [("image_id", "img-9")]),
    ("release", {"instance_id": "i-9"}, "1 problem with the release of i-9", [("instance_id", "i-9")]),
    (
        "release",
        {"expires_at": "2026-01-01T00:00:00Z"},
        "1 problem with the release of i-1",
        [("expires_at", "2026-01-01T00:00:00+00:00")],
    ),
    ("release", {"actor": {"kind": "account", "id": "other"}}, "1 problem with the release of i-1", [("actor", "account other")]),
]


@pytest.mark.parametrize(("what", "asked", "message", "met"), REFUSED)
async def test_a_refusal_names_what_was_refused_and_what_each_problem_met(
    desk: Desk, what: str, asked: dict[str, Any], message: str, met: list[tuple[str, str]]
) -> None:
    await desk.know(image_state("img-1"), image_state("img-2", status="Waiting"))
    await desk.ask("launch", image_id="img-1")
    await desk.know(image_state("img-1", publication=publication("unpublished")))
    await desk.requests.feed(desk.request(what, **asked))
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    assert answer.change["message"] == f"refused: {message}"
    assert [(problem["field"], problem["value"]) for problem in answer.change["problems"]] == met


@pytest.mark.parametrize(("account", "expected"), [("bad", "Account.NotActive"), ("gone", "Account.NotActive")])
async def test_blocked_and_closed_accounts_launch_nothing(desk: Desk, account: str, expected: str) -> None:
    await desk.know(image_state())
    answer = await desk.ask("launch", "i-1", account, image_id="img-1")
    assert answer.codes == [expected]
    assert answer.change["problems"][0]["value"] in {"blocked", "closed"}


async def test_a_blocked_account_can_still_release(desk: Desk) -> None:
    await desk.know(image_state())
    await desk.ask("launch", image_id="img-1")
    await desk.accounts.feed(desk.account(STRANGER, "blocked", sequence=2))
    assert (await desk.ask("reinit")).codes == ["Account.NotActive"]
    assert (await desk.ask("replace-os", image_id="img-1")).codes == ["Account.NotActive"]
    assert (await desk.ask("release")).what == "instance.released"


@pytest.mark.parametrize("what", ["launch", "reinit", "replace-os", "release"])
@pytest.mark.parametrize("age", [timedelta(days=7, minutes=1), timedelta(0)])
async def test_expired_requests_do_nothing(desk: Desk, what: str, age: timedelta) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", image_id="img-1")
    before = await desk.instances()
    more: dict[str, Any] = {"image_id": "img-1"} if what in {"launch", "replace-os"} else {}
    if not age:
        more["expires_at"] = "2026-01-01T00:00:00Z"
    answer = await desk.ask(what, "i-2" if what == "launch" else "i-1", age=age, **more)
    assert answer.what == "instance.refused Request.Expired"
    assert await desk.instances() == before


@pytest.mark.parametrize("kind", ["account", "operator"])
async def test_nobody_acts_for_another_account(desk: Desk, kind: str) -> None:
    await desk.know(image_state())
    answer = await desk.ask("launch", actor={"kind": kind, "id": FRIEND}, image_id="img-1")
    assert answer.what == "instance.refused Actor.NotAllowed"
    service = await desk.ask("launch", actor={"kind": "service", "id": "console"}, image_id="img-1")
    assert service.what == "instance.launched"


@pytest.mark.parametrize(
    ("what", "account", "would_be", "expected"),
    [
        ("launch", STRANGER, "launched", []),
        ("launch", "bad", "refused", ["Account.NotActive"]),
        ("reinit", FRIEND, "reinitialised", []),
        ("replace-os", FRIEND, "os-replaced", []),
        ("release", FRIEND, "released", []),
        ("release", STRANGER, "refused", ["InvalidInstanceId.NotFound"]),
    ],
)
async def test_a_rehearsal_tells_the_answer_and_changes_nothing(
    desk: Desk, what: str, account: str, would_be: str, expected: list[str]
) -> None:
    await desk.know(image_state())
    await desk.ask("launch", "i-1", FRIEND, image_id="img-1")
    before = await desk.instances()
    more = {"image_id": "img-1"} if what in {"launch", "replace-os"} else {}
    answer = await desk.ask(what, "i-2" if what == "launch" else "i-1", account, dry_run=True, **more)
    assert (answer.type, answer.codes) == ("request.rehearsed", expected)
    assert answer.change["would_be"] == f"org.imagecommons.instance.{would_be}.v1"
    assert await desk.instances() == before


async def test_each_request_has_one_answer_however_often_it_is_read(desk: Desk) -> None:
    await desk.know(image_state())
    request = desk.request("launch", image_id="img-1")
    copy = desk.request_log.raw("i-1", list(request.headers), request.value)
    other = desk.request("launch", "i-2", image_id="img-1")
    await desk.requests.feed(request, copy, other)
    await desk.requests.feed(desk.request_log.raw("i-1", list(request.headers), request.value))
    assert [(answer.what, answer.key) for answer in await desk.answers()] == [
        ("instance.launched", "i-1"),
        ("instance.launched", "i-2"),
    ]


async def test_a_batch_is_answered_in_order_each_under_its_own_id(desk: Desk) -> None:
    await desk.know(image_state("img-1"), image_state("img-2"))
    records = [
        desk.request("launch", "i-1", image_id="img-2", request_id="r-1"),
        desk.request("launch", "i-2", image_id="img-1", request_id="r-2"),
        desk.request("replace-os", "i-1", image_id="img-1", request_id="r-3"),
        desk.request("reinit", "i-2", FRIEND, request_id="r-4"),
        desk.request("release", "i-1", request_id="r-5"),
    ]
    await desk.requests.feed(*records)
    assert [(answer.request_id, answer.what, answer.sequence) for answer in await desk.answers()] == [
        ("r-1", "instance.launched", 1),
        ("r-2", "instance.launched", 1),
        ("r-3", "instance.os-replaced", 2),
        ("r-4", "instance.refused InvalidInstanceId.NotFound", 2),
        ("r-5", "instance.released", 3),
    ]


async def test_a_charge_runs_from_launch_to_release_and_never_twice(desk: Desk) -> None:
    await desk.know(image_state("paid", root_product=PAID), image_state("free"))
    launched = await desk.ask("launch", image_id="paid")
    assert launched.state is not None
    charge = launched.state["charge"]
    assert (charge["product_id"], charge["amount"], charge["currency"]) == ("prod-1", "0.500000", "EUR")
    assert "closed_at" not in charge
    again = await desk.ask("reinit")
    assert again.state is not None
    assert again.state["charge"] == charge, "the same disk, the same charge"
    free = await desk.ask("replace-os", image_id="free")
    assert free.state is not None
    assert free.state["charge"]["closed_at"] >= charge["opened_at"]
    await desk.ask("replace-os", image_id="paid")
    await desk.ask("release")
    rows = await desk.charges()
    assert len(rows) == 2
    assert all(row["closed_at"] is not None for row in rows)
    assert rows[0]["closed_at"] <= rows[1]["opened_at"]


@pytest.mark.parametrize(("kind", "nothing_owed"), [("service", True), ("account", False)])
async def test_only_the_compute_services_word_makes_a_charge_nothing(desk: Desk, kind: str, nothing_owed: bool) -> None:
    """`creation_failed` from the account itself would be a way to run for free."""
    await desk.know(image_state(root_product=PAID))
    await desk.ask("launch", image_id="img-1")
    actor = {"kind": kind, "id": STRANGER}
    released = await desk.ask("release", actor=actor, reason=CREATION_FAILED)
    assert released.what == "instance.released"
    assert bool(released.change.get("warnings")) == (not nothing_owed)
    (row,) = await desk.charges()
    assert (row["closed_at"] == row["opened_at"]) == nothing_owed


@pytest.mark.parametrize(
    ("account", "family", "expected"),
    [
        (OWNER, "line", "img-3"),
        (STRANGER, f"acs:{OWNER}:line", "img-2"),
        (FRIEND, f"acs:{OWNER}:line", "img-3"),
        (STRANGER, "line", None),
        (STRANGER, f"acs:{OWNER}:other", None),
        (STRANGER, "acs:", None),
        (STRANGER, None, None),
    ],
)
async def test_a_family_is_its_newest_available_image_that_the_account_sees(
    desk: Desk, account: str, family: str | None, expected: str | None
) -> None:
    def member(number: int, **given: Any) -> Any:
        return image_state(f"img-{number}", family="line", created_at=f"2026-01-0{number}T00:00:00Z", **given)

    await desk.know(
        member(1),
        member(2),
        member(3, public=False, shared_with=[FRIEND]),
        member(4, status="Deprecated"),
        member(5, region="us-1"),
        member(6, owner_account_id="other", public=False),
    )
    await desk.requests.feed(desk.request("launch", "i-1", account, **({} if family is None else {"family": family})))
    await desk.requests.unpark()
    (answer,) = await desk.answers()
    if expected is None:
        assert answer.codes == ["InvalidImageId.NotFound" if family is None else "InvalidImageFamily.NotFound"]
    else:
        assert answer.state is not None
        assert answer.state["system_disk"]["image_id"] == expected
