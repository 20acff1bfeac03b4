"""Who sees which image where: every role x relation x state x region, through HTTP and SQL. 0 leaks, 0 missing."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.launcher.handlers.copies import _image_of
from shared.contracts.image_events import ImageState
from shared.contracts.visibility import basis_for
from shared.database.pool import Database
from tests.catalog.services import Http, Reader
from tests.catalog.states import BEGAN, FRIEND, OWNER, REGION, STRANGER, Log, image_state, publication

STATUSES = ("Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated", "Deleted")
PUBLICATIONS = (None, "rejected", "checking", "check_failed", "withdrawn", "published", "unpublished", "taken_down")
REGIONS = (REGION, "us-1")
ROLES = (OWNER, FRIEND, STRANGER)
OWNERS_OWN = {"shared_with", "derived_from", "taken_down"}


@dataclass(frozen=True)
class Case:
    state: ImageState
    unclear: bool

    def expected(self, account: str, region: str) -> str | None:
        """Tell the rule once more, and differently (domain.md, While an image is a community image; contracts.md, Consuming)."""
        if self.unclear or region != self.state.region or self.state.status == "Deleted":
            return None
        if account == OWNER:
            return "own"
        if account == FRIEND and FRIEND in self.state.shared_with:
            return "shared"
        published = self.state.publication is not None and self.state.publication.state == "published"
        return "community" if published else None


def _cases() -> list[Case]:
    found = []
    for number, (status, live, region, shared, unclear) in enumerate(
        itertools.product(STATUSES, PUBLICATIONS, REGIONS, (False, True), (False, True))
    ):
        state = image_state(
            f"img-{number}",
            region=region,
            status=status,
            shared_with=["somebody", FRIEND] if shared else ["somebody"],
            publication=None if live is None else publication(live),
            taken_down={"since": BEGAN, "reason": "private reason"} if live == "taken_down" else None,
            created_at=BEGAN + timedelta(seconds=number // 7),  # some of the same time, so ids decide
        )
        found.append(Case(state, unclear))
    return found


CASES = _cases()


@pytest.fixture
async def filled(reader: Reader, log: Log, database: Database) -> None:
    """All cases, through the plumbing; what is unclear became so by a record that could not be read."""
    await reader.feed(*(log.image(case.state, sequence=1) for case in CASES))
    await reader.feed(*(log.garbage(log.image(case.state, sequence=2)) for case in CASES if case.unclear))
    assert await database.pool.fetchval("SELECT count(*) FROM images") == len(CASES)


async def _everything(http: Http, account: str, region: str, **filters: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    asked = {"region": region, "account_id": account, "limit": 37, **filters}
    while True:
        answer = await http.get("/images", asked)
        assert answer.status == 200, answer.body
        page = answer.json
        for item in page["images"]:
            assert item["image_id"] not in found
            found[item["image_id"]] = item
        if page["next_cursor"] is None:
            return found
        asked["cursor"] = page["next_cursor"]


@pytest.mark.usefixtures("filled")
async def test_the_list_shows_exactly_what_the_account_sees(http: Http) -> None:
    for account, region in itertools.product(ROLES, [*REGIONS, "eu"]):
        expected = {
            case.state.image_id: visibility for case in CASES if (visibility := case.expected(account, region)) is not None
        }
        found = await _everything(http, account, region)
        assert {image_id: item["visibility"] for image_id, item in found.items()} == expected
        order = [(item["created_at"], item["image_id"]) for item in found.values()]
        assert order == sorted(order, reverse=True)
        for item in found.values():
            _assert_keeps_secrets(item)


@pytest.mark.usefixtures("filled")
async def test_an_image_is_shown_or_is_the_same_404(http: Http) -> None:
    nowhere = await http.get("/images/never-was", {"region": REGION, "account_id": STRANGER})
    assert nowhere.status == 404
    for case, account, region in itertools.product(CASES, ROLES, REGIONS):
        answer = await http.get(f"/images/{case.state.image_id}", {"region": region, "account_id": account})
        expected = case.expected(account, region)
        if expected is None:
            assert (answer.status, answer.body, answer.headers) == (404, nowhere.body, nowhere.headers), case
        else:
            assert (answer.status, answer.json["visibility"]) == (200, expected), case
            assert answer.json["image_id"] == case.state.image_id
            _assert_keeps_secrets(answer.json)


@pytest.mark.usefixtures("filled")
async def test_filters_only_narrow(http: Http) -> None:
    for account, status, owner in itertools.product(ROLES, set(STATUSES) - {"Deleted"}, (None, OWNER, FRIEND)):
        expected = {
            case.state.image_id
            for case in CASES
            if case.expected(account, REGION) is not None
            and case.state.status == status
            and (owner is None or case.state.owner_account_id == owner)
        }
        filters = {"status": status} | ({} if owner is None else {"owner": owner})
        assert set(await _everything(http, account, REGION, **filters)) == expected


def test_the_pure_rules_agree() -> None:
    """The rule in the contracts and the launcher's, which decides on a copy of its own, are the same rule."""
    for case, account, region in itertools.product(CASES, ROLES, REGIONS):
        expected = Case(case.state, unclear=False).expected(account, region)
        assert basis_for(case.state, account, region) == expected
        assert _image_of(case.state, 1).basis_for(account, region) == expected


def _assert_keeps_secrets(item: dict[str, Any]) -> None:
    """Who an image is shared with, what it was made from, how a publication is getting on: the owner's business."""
    if item["visibility"] == "own":
        assert "somebody" in item["shared_with"]
        assert item["derived_from"] == "private-ancestor"
        return
    assert not OWNERS_OWN & item.keys()
    live = item.get("publication", {}).get("state")
    assert live in {None, "published"}
    assert ("check" in item) == (live == "published")
