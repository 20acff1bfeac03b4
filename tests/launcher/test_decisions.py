"""The rules as tables: who may launch, re-initialise, replace and release, over everything that matters."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.launcher.domain.copies import AccountCopy, Basis, ImageCopy, RootProduct
from services.launcher.domain.decisions import (
    Granted,
    Refused,
    judge_launch,
    judge_reinitialisation,
    judge_release,
    judge_replacement,
    judge_request,
)
from services.launcher.domain.instance import Instance, launched
from shared.contracts.requests import Actor, ReleaseRequested

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = ImageCopy("img-1", 7, "eu-1", "vendor", "an-image", "Available", NOW, publication_id="pub-1")
PAID = replace(IMAGE, root_product=RootProduct("prod-1", Decimal("0.50"), "EUR"))
ACTIVE = AccountCopy("user", 1, "active")
STATUSES = ("Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated", "Deleted")


def instance_of(image: ImageCopy, account_id: str = "user", basis: Basis = Basis.COMMUNITY) -> Instance:
    return launched(image, basis, instance_id="i-1", account_id=account_id, instance_type=None, disk_id="d-1", at=NOW)


def codes(decided: Granted | Refused | None) -> list[str]:
    return [reason.code.value for reason in decided.reasons] if isinstance(decided, Refused) else []


MATRIX = list(itertools.product(("vendor", "friend", "user"), STATUSES, ("eu-1", "us-1"), (True, False), (True, False)))


@pytest.mark.parametrize(("account", "status", "region", "live", "shared"), MATRIX)
def test_an_image_is_used_exactly_by_those_who_see_it_and_only_when_it_can_be(
    account: str, status: str, region: str, live: bool, shared: bool
) -> None:
    image = replace(
        IMAGE,
        status=status,
        publication_id="pub-1" if live else None,
        shared_with=frozenset({"friend"} if shared else ()),
    )
    basis = "own" if account == "vendor" else "shared" if shared and account == "friend" else "community" if live else None
    sees = basis is not None and region == "eu-1" and status != "Deleted"
    standing = AccountCopy(account, 1, "active")
    theirs = instance_of(replace(IMAGE, region=region), account)
    for decided in (
        judge_launch(account, region, standing, image, None),
        judge_replacement(account, region, standing, image, theirs),
    ):
        if not sees:
            assert codes(decided) == ["InvalidImageId.NotFound"]
            assert isinstance(decided, Refused)
            assert decided.image is None, "naming the sequence would tell that the image exists"
        elif status in {"Available", "Deprecated"}:
            assert isinstance(decided, Granted)
            assert decided.basis == basis
            assert len(decided.warnings) == (status == "Deprecated")
        else:
            assert codes(decided) == ["InvalidImageStatus"]


@pytest.mark.parametrize(("account", "status", "region", "live", "shared"), MATRIX)
@pytest.mark.parametrize("launched_as", list(Basis))
def test_a_disk_is_laid_anew_for_the_owner_for_shares_and_while_public(
    account: str, status: str, region: str, live: bool, shared: bool, launched_as: Basis
) -> None:
    """Whatever the instance was launched as: what counts is what holds now (domain.md, Unpublishing)."""
    image = replace(
        IMAGE,
        status=status,
        publication_id="pub-2" if live else None,
        shared_with=frozenset({"friend"} if shared else ()),
    )
    entitled = account == "vendor" or (shared and account == "friend")
    here = instance_of(replace(IMAGE, region=region), account, launched_as)
    decided = judge_reinitialisation(account, region, AccountCopy(account, 1, "active"), image, here)
    if region != "eu-1":
        # Cannot be (an instance lives where its image does), and is refused all the same.
        assert isinstance(decided, Refused)
    elif status == "Deleted":
        assert codes(decided) == ["InvalidImageId.NotFound" if entitled else "OperationDenied.ImageUnpublished"]
    elif not entitled and not live:
        assert codes(decided) == ["OperationDenied.ImageUnpublished"]
        assert isinstance(decided, Refused)
        assert "replace the OS" in decided.reasons[0].advice
        assert decided.image == image
    elif status in {"Available", "Deprecated"}:
        assert isinstance(decided, Granted)
    else:
        assert codes(decided) == ["InvalidImageStatus"]


@pytest.mark.parametrize("standing", [None, "blocked", "active"])
@pytest.mark.parametrize("known", [True, False])
def test_a_refused_reinitialisation_names_the_way_out_exactly_where_replacing_the_os_would_work(
    standing: str | None, known: bool
) -> None:
    for account, status, region, live, shared in MATRIX:
        image = replace(
            IMAGE, status=status, publication_id="pub-2" if live else None, shared_with=frozenset({"friend"} if shared else ())
        )
        here = instance_of(IMAGE, account)
        copy = None if standing is None else AccountCopy(account, 1, standing)
        decided = judge_reinitialisation(account, region, copy, image if known else None, here)
        instead = judge_replacement(account, region, copy, replace(IMAGE, image_id="img-2"), here)
        if isinstance(decided, Refused):
            assert (decided.way_out is not None) == isinstance(instead, Granted)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [(None, "InvalidAccount.NotFound"), ("blocked", "Account.NotActive"), ("closed", "Account.NotActive"), ("active", None)],
)
def test_an_account_without_standing_may_release_and_nothing_else(standing: str | None, expected: str | None) -> None:
    account = None if standing is None else AccountCopy("user", 1, standing)
    here = instance_of(IMAGE)
    for decided in (
        judge_launch("user", "eu-1", account, IMAGE, None),
        judge_reinitialisation("user", "eu-1", account, IMAGE, here),
        judge_replacement("user", "eu-1", account, IMAGE, here),
    ):
        assert codes(decided) == ([] if expected is None else [expected])
    assert judge_release("user", "eu-1", here) is None


@pytest.mark.parametrize(
    ("account", "region", "here"),
    [
        ("user", "eu-1", None),
        ("stranger", "eu-1", instance_of(IMAGE)),
        ("user", "us-1", instance_of(IMAGE)),
        ("user", "eu-1", instance_of(IMAGE).released(at=NOW, reason=None)),
    ],
)
def test_unknown_a_strangers_elsewhere_and_released_are_the_same(account: str, region: str, here: Instance | None) -> None:
    standing = AccountCopy(account, 1, "active")
    answers = [
        judge_release(account, region, here),
        judge_reinitialisation(account, region, standing, IMAGE, here),
        judge_replacement(account, region, standing, IMAGE, here),
        judge_replacement(account, region, None, None, here),
    ]
    assert [codes(answer) for answer in answers] == [["InvalidInstanceId.NotFound"]] * 4
    assert len(set(answers)) == 1


def test_every_broken_rule_is_named_at_once_but_not_to_whom_the_image_is_hidden() -> None:
    image, taken = replace(IMAGE, status="Waiting"), instance_of(IMAGE)
    blocked = AccountCopy("user", 1, "blocked")
    expected = ["Account.NotActive", "InvalidImageStatus", "InvalidInstanceId.Duplicate"]
    assert codes(judge_launch("user", "eu-1", blocked, image, taken)) == expected
    hidden = replace(image, publication_id=None)
    assert codes(judge_launch("user", "eu-1", blocked, hidden, taken)) == ["InvalidImageId.NotFound"]
    assert codes(judge_launch("user", "eu-1", ACTIVE, IMAGE, taken)) == ["InvalidInstanceId.Duplicate"]


@pytest.mark.parametrize(
    ("expires_in_s", "age", "refused"),
    [
        (None, timedelta(days=7), False),
        (None, timedelta(days=7, seconds=1), True),
        (0, timedelta(0), True),
        (-1, timedelta(0), True),
        (1, timedelta(0), False),
    ],
)
def test_time_limits(expires_in_s: int | None, age: timedelta, refused: bool) -> None:
    expires_at = None if expires_in_s is None else NOW + timedelta(seconds=expires_in_s)
    request = release_request("account", "user", expires_at)
    assert codes(judge_request(request, now=NOW, recorded_at=NOW - age)) == (["Request.Expired"] if refused else [])


@pytest.mark.parametrize(
    ("kind", "actor", "refused"),
    [("account", "user", False), ("account", "other", True), ("service", "other", False), ("operator", "user", True)],
)
def test_an_account_acts_for_itself_alone(kind: str, actor: str, refused: bool) -> None:
    request = release_request(kind, actor, None)
    assert codes(judge_request(request, now=NOW, recorded_at=NOW)) == (["Actor.NotAllowed"] if refused else [])


def release_request(kind: str, actor: str, expires_at: datetime | None) -> ReleaseRequested:
    who = Actor.model_validate({"kind": kind, "id": actor})
    return ReleaseRequested(actor=who, region="eu-1", instance_id="i-1", account_id="user", expires_at=expires_at)


@pytest.mark.parametrize(
    ("account", "shared", "live", "charged"),
    [
        ("user", False, True, True),
        ("friend", True, True, True),
        ("friend", True, False, False),
        ("vendor", False, True, True),
        ("vendor", False, False, False),
    ],
)
def test_whoever_launches_a_paid_community_image_is_charged_its_owner_too(
    account: str, shared: bool, live: bool, charged: bool
) -> None:
    image = replace(PAID, publication_id="pub-1" if live else None, shared_with=frozenset({"friend"} if shared else ()))
    granted = judge_launch(account, "eu-1", AccountCopy(account, 1, "active"), image, None)
    assert isinstance(granted, Granted)
    assert (instance_of(granted.image, account, granted.basis).charge is not None) == charged


steps = st.lists(st.sampled_from(["paid", "free", "reinit", "release", "failed"]), max_size=12)


@given(steps, st.booleans())
def test_charges_never_overlap_and_all_close(steps: list[str], begins_paid: bool) -> None:
    """Whatever happens to an instance: one charge a paid disk at most, one after the other, all closed in the end."""
    here = instance_of(PAID if begins_paid else IMAGE)
    history = [here]
    for number, step in enumerate([*steps, "release"]):
        at = NOW + timedelta(minutes=number + 1)
        if step == "reinit":
            here = here.reinitialised(PAID if begins_paid else IMAGE, at=at)
        elif step in {"paid", "free"}:
            image = PAID if step == "paid" else IMAGE
            here = here.with_disk(image, Basis.COMMUNITY, disk_id=f"d-{number + 2}", at=at)
        else:
            here = here.released(at=at, reason=step, never_ran=step == "failed")
        history.append(here)
        if here.released_at is not None:
            break
    charge = here.charge
    assert charge is None or charge.closed_at is not None
    open_disks = [item.charge.disk_id for item in history if item.charge is not None and item.charge.closed_at is None]
    assert all(
        disk == item.disk.disk_id for item in history if (c := item.charge) and c.closed_at is None for disk in [c.disk_id]
    )
    assert len(set(open_disks)) == len([disk for disk, _ in itertools.groupby(open_disks)])
    if here.release_reason == "failed" and charge is not None and charge.disk_id == here.disk.disk_id:
        assert charge.closed_at == charge.opened_at
