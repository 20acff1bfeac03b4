"""What a stated fact comes to: taken, ignored and why, or not heard of."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.connection import TOPIC_PREFIX_VARIABLE
from cli.facts import carries, contradiction
from demo.image import DemoImages
from shared.contracts.envelope import Event
from shared.contracts.facts import ImageDeleted, ImageRegistered
from shared.contracts.image_events import ImageChange, ImageKnown, ImageState, PublicationView
from tests.cli.platform import PROJECT, Platform

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FACT: dict[str, Any] = {
    "image_id": "img-1",
    "region": "eu-central-1",
    "owner_account_id": "acme",
    "name": "debian",
    "status": "Available",
    "encrypted": False,
    "location": "file:///x",
    "content_version": "1",
    "created_at": NOW,
}
STATE = {name: FACT[name] for name in ("image_id", "region", "owner_account_id", "name", "status", "encrypted", "created_at")}


def known(correlation_id: str | None = None, **state: Any) -> Event[Any]:
    data = ImageKnown(state=ImageState(**{**STATE, **state}), change=ImageChange())
    return Event("e", "s", "t", "img-1", NOW, data, 1, correlation_id)


@pytest.mark.parametrize(
    ("event", "is_carried"),
    [
        (known(), True),
        (known(name="other"), False),
        (known(status="Deprecated"), False),
        (known(owner_account_id="zoe"), False),
        (known(correlation_id="r"), False),
        # A live publication shows its own name.
        (known(name="other", publication=PublicationView(id="p", state="published", since=NOW)), True),
        (known(name="other", publication=PublicationView(id="p", state="unpublished", since=NOW)), False),
    ],
)
def test_a_fact_is_told_by_the_state_it_gives(event: Event[Any], is_carried: bool) -> None:
    assert carries(event, ImageRegistered(**FACT)) is is_carried


def test_a_deletion_is_told_by_the_status() -> None:
    assert carries(known(status="Deleted"), ImageDeleted(**FACT))
    assert not carries(known(), ImageDeleted(**FACT))


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, None),
        ({"name": "other"}, None),
        ({"owner_account_id": "zoe"}, "zoe's"),
        ({"region": "us-1"}, "us-1"),
        ({"status": "Deleted"}, "deleted is final"),
    ],
)
def test_what_contradicts_is_said(state: dict[str, Any], why: str | None) -> None:
    said = contradiction(ImageState(**{**STATE, **state}), ImageRegistered(**FACT))
    assert said is None if why is None else why in (said or "")
    assert contradiction(None, ImageRegistered(**FACT)) is None


def test_commands_say_what_publisher_made_of_a_fact(platform: Platform, images: DemoImages) -> None:
    token = secrets.token_hex(4)
    owner, other, image = f"owner-{token}", f"other-{token}", f"img-{token}"
    account = platform.json("account", owner, "--enterprise")
    assert account["outcome"] == "taken"
    assert account["state"]["enterprise_verified"] is True
    stale = platform.json("account", owner, "--sequence", "5", exit_code=5)
    assert stale["outcome"] == "ignored"
    assert "not newer" in stale["why"]

    register = ("image", "register", image, "--file", str(images.qcow2), "--owner")
    assert platform.json(*register, owner)["state"]["status"] == "Available"
    stolen = platform.json(*register, other, exit_code=5)
    assert (stolen["outcome"], owner in stolen["why"]) == ("ignored", True)
    # What was ignored is no base for a change.
    changed = platform.json("image", "change", image, "--status", "Deprecated")
    assert (changed["state"]["status"], changed["state"]["owner_account_id"]) == ("Deprecated", owner)

    assert platform.json("image", "delete", image)["state"]["status"] == "Deleted"
    assert platform.json("image", "delete", image)["outcome"] == "taken"
    assert "final" in platform.json(*register, owner, exit_code=5)["why"]
    assert platform.json("account", other, "--no-wait")["outcome"] == "sent"


def test_a_fact_nobody_speaks_of_ends_with_4_and_its_id(servers: dict[str, str]) -> None:
    """On topics without services."""
    variables = {**os.environ, **servers, TOPIC_PREFIX_VARIABLE: f"silent-{secrets.token_hex(4)}."}
    done = [
        subprocess.run(
            [sys.executable, "-m", "cli", *command],
            cwd=PROJECT, env=variables, capture_output=True, text=True, check=False, timeout=60,
        )
        for command in (("topics", "apply"), ("account", "acme", "--timeout", "3"))
    ]  # fmt: skip
    assert [each.returncode for each in done] == [0, 4]
    assert "fact id" in done[1].stderr
    assert "stays stated" in done[1].stderr
