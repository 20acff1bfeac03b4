"""The commands against a whole platform: what they print, and how they exit."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from demo.image import DemoImages
from shared.contracts.facts import AccountStated
from tests.cli.platform import Platform


@pytest.fixture
def ids() -> str:
    """Return a suffix that keeps a test's ids apart from all others'."""
    return secrets.token_hex(4)


@pytest.fixture
def vendor(platform: Platform, ids: str) -> str:
    """Return a verified enterprise account that may publish."""
    account = f"vendor-{ids}"
    platform.json("account", account, "--enterprise")
    permitted = platform.json("permit", account, "--ticket", "T-1")
    assert permitted["state"]["permission"]["state"] == "granted"
    return account


@pytest.fixture
def user(platform: Platform, ids: str) -> str:
    """Return an ordinary account."""
    account = f"user-{ids}"
    platform.json("account", account)
    return account


@pytest.fixture
def image(platform: Platform, images: DemoImages, vendor: str, ids: str) -> str:
    """Return an image of the vendor's, not published."""
    name = f"img-{ids}"
    platform.json(
        "image", "register", name, "--owner", vendor, "--file", str(images.qcow2), "--name", "debian12", "-d", "Debian 12"
    )
    return name


def codes(answer: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in answer["change"]["problems"]}


def test_life_of_a_community_image(platform: Platform, images: DemoImages, vendor: str, user: str, image: str, ids: str) -> None:
    published = platform.json("publish", image, "-a", vendor)
    assert published["type"] == "org.imagecommons.image.published.v1"
    assert published["state"]["tags"]["acs:ecs:image:kernelVersion"] == images.facts["kernel_version"]
    listed = platform.json("publications", "-a", vendor)
    assert [row["state"] for row in listed["publications"] if row["image_id"] == image] == ["published"]

    instance = f"i-{ids}"
    launched = platform.json("launch", image, "-a", user, "--instance", instance, "--seen-sequence", str(published["sequence"]))
    assert launched["state"]["system_disk"]["basis"] == "community"
    assert [row["instance_id"] for row in platform.json("instances", "-a", user)["instances"]] == [instance]
    assert platform.json("instances", "-a", user, instance)["system_disk"]["image_id"] == image
    assert platform.json("images", "-a", user, image)["image_id"] == image

    unpublished = platform.json("unpublish", image, "-a", vendor)
    assert unpublished["change"]["message"] == "debian12 is unpublished"
    seen = str(unpublished["sequence"])
    assert codes(platform.json("launch", image, "-a", user, "--seen-sequence", seen, exit_code=5)) == {"InvalidImageId.NotFound"}
    assert codes(platform.json("reinit", instance, "-a", user, exit_code=5)) == {"OperationDenied.ImageUnpublished"}
    own = f"own-{ids}"
    platform.json("image", "register", own, "--owner", user, "--file", str(images.raw))
    assert platform.json("replace-os", instance, "-a", user, "--image", own)["state"]["system_disk"]["image_id"] == own
    assert platform.json("reinit", instance, "-a", user)["type"] == "org.imagecommons.instance.reinitialised.v1"
    assert platform.json("release", instance, "-a", user)["state"]["state"] == "released"


def test_refusal_names_every_broken_rule_and_ends_with_5(platform: Platform, images: DemoImages, ids: str) -> None:
    account, image = f"poor-{ids}", f"img-poor-{ids}"
    platform.json("account", account)
    platform.json("image", "register", image, "--owner", account, "--file", str(images.qcow2))
    refused = platform.json("publish", image, "-a", account, "--name", "acs:no good", "-d", "http://x", exit_code=5)
    assert codes(refused) >= {
        "PublishPermission.NotGranted",
        "Account.NotVerifiedEnterprise",
        "InvalidImageName.Malformed",
        "InvalidDescription.Malformed",
    }
    assert all(problem["advice"] for problem in refused["change"]["problems"])


def test_dry_run_of_a_refusal_ends_with_5_and_of_success_with_0(platform: Platform, vendor: str, image: str) -> None:
    refused = platform.json("publish", image, "-a", vendor, "--name", "1 bad", "--dry-run", exit_code=5)
    assert refused["type"] == "org.imagecommons.request.rehearsed.v1"
    assert codes(refused) == {"InvalidImageName.Malformed"}
    assert platform.json("publish", image, "-a", vendor, "--dry-run")["type"] == "org.imagecommons.request.rehearsed.v1"


def test_share_and_unshare(platform: Platform, vendor: str, user: str, image: str, ids: str) -> None:
    shared = platform.json("share", image, "--with", user, "-a", vendor)
    assert shared["state"]["shared_with"] == [user]
    launched = platform.json("launch", image, "-a", user, "--instance", f"i-{ids}", "--seen-sequence", str(shared["sequence"]))
    assert launched["state"]["system_disk"]["basis"] == "shared"
    assert platform.json("unshare", image, "--with", user, "-a", vendor)["state"].get("shared_with", []) == []


def test_take_down_needs_a_community_image_or_a_lift(platform: Platform, image: str) -> None:
    assert platform.json("take-down-lift", image, exit_code=5)["type"] == "org.imagecommons.request.refused.v1"


def test_change_keeps_what_is_not_given(platform: Platform, vendor: str, image: str) -> None:
    stated = platform.json("image", "change", image, "--status", "Deprecated")["fact"]
    assert (stated["name"], stated["owner_account_id"], stated["status"]) == ("debian12", vendor, "Deprecated")
    assert codes(platform.json("publish", image, "-a", vendor, exit_code=5)) == {"InvalidImageStatus"}
    platform.json("image", "delete", image)
    assert codes(platform.json("publish", image, "-a", vendor, exit_code=5)) == {"InvalidImageId.NotFound"}


def test_change_of_an_unknown_image_says_to_register_it(platform: Platform, ids: str) -> None:
    done = platform.run("image", "change", f"none-{ids}", "--status", "Deprecated")
    assert done.returncode == 5
    assert "image register" in done.stderr


def test_no_answer_ends_with_4_and_names_the_ids(platform: Platform, ids: str) -> None:
    # The request's owner is parked for 2 s at least before it is answered: nothing can answer sooner.
    done = platform.run("permit", f"nobody-{ids}", "--ticket", "T-1", "--timeout", "0.5")
    assert done.returncode == 4
    assert "correlation id" in done.stderr
    assert f"nobody-{ids}" in done.stderr
    assert done.stdout == ""


def test_unknown_image_is_refused_by_the_catalog(platform: Platform, user: str) -> None:
    done = platform.run("images", "-a", user, "img-unknown")
    assert done.returncode == 5
    assert "InvalidImageId.NotFound" in done.stderr


def test_missing_topics_are_named_with_the_job_that_makes_them(platform: Platform) -> None:
    done = platform.run("account", "acme", IMAGE_COMMONS_TOPIC_PREFIX="elsewhere.")
    assert done.returncode == 1
    assert "no such topic: elsewhere.account-events" in done.stderr
    assert "image-commons topics apply" in done.stderr


def test_a_terminal_gets_a_table(platform: Platform, vendor: str, image: str) -> None:
    command = f"{sys.executable} -m cli publications -a {vendor} --image {image}; {sys.executable} -m cli images -a {vendor}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env={**platform.variables, "PATH": "/usr/bin:/bin", "COLUMNS": "160"},
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert f"Images {vendor} sees" in done.stdout
    assert image in done.stdout
    assert "{" not in done.stdout


async def test_dead_letter_is_listed_and_shown_escaped(platform: Platform, ids: str) -> None:
    key = f"account-{ids}"
    async with Client(platform.endpoints, source="urn:test\x1b[2J") as client:
        await client.state(AccountStated(account_id=f"other-{ids}", status="active", enterprise_verified=False), key=key)
    found: list[dict[str, Any]] = []
    while not found:
        listed = platform.json("dead-letters", "list", "--service", "publisher", "--topic", "account-facts")["dead_letters"]
        found = [letter for letter in listed if letter["key"] == key]
    assert found[0]["reason_code"] == "key_wrong"
    shown = platform.json("dead-letters", "show", found[0]["id"])
    assert f"other-{ids}" in shown["value"]
    assert "\x1b" not in platform.run("dead-letters", "show", found[0]["id"]).stdout


def test_unknown_dead_letter_is_said_to_be_none(platform: Platform) -> None:
    assert platform.run("dead-letters", "show", "00000000-0000-7000-8000-000000000000").returncode == 5


def test_republish_tells_what_there_is(platform: Platform, vendor: str, image: str) -> None:
    told = platform.json("republish", "--records-per-s", "5000")
    assert told["images"] >= 1
    assert told["accounts"] >= 1
    assert "instances" in told
    # Readers take the repeated state as it is.
    platform.json("publish", image, "-a", vendor)
