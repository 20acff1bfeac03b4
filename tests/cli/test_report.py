"""Reports by any id, as a person sees them; refusals that lead there; a check that takes long."""

from __future__ import annotations

import secrets
import subprocess
import sys
from typing import Any, Self

import pytest
from rich.console import Console

import cli.answers
from cli.answers import answer_view
from cli.commands import publishing
from cli.connection import Endpoints
from cli.errors import CommandError, ExitCode
from demo.image import DemoImages
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, PublicationChecking
from tests.cli.platform import PROJECT, Platform


def at_a_terminal(platform: Platform, *arguments: str) -> str:
    command = " ".join([sys.executable, "-m", "cli", *arguments])
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env={**platform.variables, "PATH": "/usr/bin:/bin", "COLUMNS": "160"},
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout


def test_a_refusal_leads_to_its_report_with_each_items_advice(platform: Platform, images: DemoImages) -> None:
    token = secrets.token_hex(4)
    vendor, image = f"vendor-{token}", f"img-{token}"
    platform.json("account", vendor, "--enterprise")
    platform.json("permit", vendor, "--ticket", "T-1")
    platform.json("image", "register", image, "--owner", vendor, "--file", str(images.broken_fstab), "--name", "broken")
    refusal = at_a_terminal(platform, "publish", image, "-a", vendor, "-d", "Broken")
    (publication,) = platform.json("publications", "-a", vendor, "--image", image)["publications"]
    assert f"next: image-commons report {publication['publication_id']}" in refusal

    # By publication, by check and by its own id it is the same report.
    report = platform.json("report", publication["publication_id"])
    assert platform.json("report", publication["check_id"]) == report
    assert platform.json("report", report["report_id"]) == report
    (fstab,) = (item for item in report["items"] if item["name"] == "GUESTOS.Fstab")
    assert " ".join(fstab["advice"].split()[:4]) in refusal

    shown = at_a_terminal(platform, "report", publication["publication_id"])
    assert f"broken ({image}) is check_failed" in shown
    for part in ("GUESTOS.Fstab", fstab["code"], report["image"]["digest"], "/etc/fstab"):
        assert part in shown
    single = at_a_terminal(platform, "publications", "-a", vendor, publication["publication_id"])
    assert "history" in single
    assert "{" not in single


def test_a_publication_without_a_check_says_why(platform: Platform, images: DemoImages) -> None:
    account, image = f"poor-{(token := secrets.token_hex(4))}", f"img-{token}"
    platform.json("account", account)
    platform.json("image", "register", image, "--owner", account, "--file", str(images.qcow2))
    refusal = platform.json("publish", image, "-a", account, exit_code=5)
    (publication,) = platform.json("publications", "-a", account)["publications"]
    shown = at_a_terminal(platform, "report", publication["publication_id"])
    for problem in refusal["change"]["problems"]:
        assert problem["code"] in shown


def test_what_has_no_report_is_refused(platform: Platform) -> None:
    done = platform.run("report", "none-such")
    assert done.returncode == 5
    assert "no report, no check and no publication" in done.stderr


def test_the_queue_is_counted(platform: Platform) -> None:
    assert platform.json("queue")["waiting"] >= 0
    assert "checks wait" in at_a_terminal(platform, "queue")


def test_lists_go_on_with_a_cursor_or_to_the_end(platform: Platform) -> None:
    account = f"many-{(token := secrets.token_hex(4))}"
    platform.json("account", account)
    for number in range(3):
        platform.json(
            "image", "register", f"m{number}-{token}", "--owner", account, "--location", "s3://b/k", "--content-version", "1"
        )
    first = platform.json("images", "-a", account, "--limit", "2")
    assert first["next_cursor"]
    rest = platform.json("images", "-a", account, "--limit", "2", "--cursor", first["next_cursor"])
    every = platform.json("images", "-a", account, "--limit", "2", "--all")
    ids = [image["image_id"] for image in (*first["images"], *rest["images"])]
    assert sorted(ids) == [f"m{number}-{token}" for number in range(3)]
    assert [image["image_id"] for image in every["images"]] == ids
    assert not every["next_cursor"]
    assert "more exist" in at_a_terminal(platform, "images", "-a", account, "--limit", "2")
    listed = at_a_terminal(platform, "images", "-a", account)
    assert "Available" in listed
    assert " own " in listed


def checking(publication_id: str) -> Event[Any]:
    from datetime import UTC, datetime

    data = PublicationChecking(state=None, change=ImageChange(publication_id=publication_id))
    return Event("e", "s", "org.imagecommons.publication.checking.v1", "img-1", datetime.now(UTC), data)


def test_a_check_that_takes_long_is_said_with_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    unanswered = CommandError("no answer", where="request id r", exit_code=ExitCode.NO_ANSWER)

    def ask(*_: Any, progress: Any, **__: Any) -> None:
        progress(checking("pub-1"))
        raise unanswered

    monkeypatch.setattr(cli.answers, "ask", ask)
    with pytest.raises(CommandError, match="still being checked after 20 s") as raised:
        publishing.publish("img-1", "acme", timeout=20)
    assert raised.value.exit_code == ExitCode.NO_ANSWER
    assert raised.value.advice == "see: image-commons publications -a acme pub-1"
    assert raised.value.where == "request id r"


def test_ctrl_c_says_that_the_request_stays_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    import cli.client
    from shared.contracts.requests import UnpublishRequested

    class Interrupted:
        asked_id = "r-1"

        def __init__(self, _: Endpoints) -> None: ...

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def ask(self, *_: Any, **__: Any) -> None:
            raise asyncio.CancelledError

    monkeypatch.setattr(cli.client, "Client", Interrupted)
    request = UnpublishRequested.model_validate(
        {"actor": {"kind": "account", "id": "acme"}, "region": "eu-central-1", "image_id": "img-1"}
    )
    with pytest.raises(CommandError, match="stays asked") as raised:
        cli.answers.ask(request, key="img-1", kafka=None, timeout_s=1, as_json=True)
    assert raised.value.exit_code == ExitCode.INTERRUPTED
    assert "r-1" in (raised.value.where or "")


@pytest.mark.parametrize(
    ("kind", "problems", "noted"),
    [("image.published", [], True), ("publication.refused", [{"code": "X", "advice": "y"}], False)],
)
def test_how_a_name_could_be_better_is_noted_where_it_helps(kind: str, problems: list[Any], noted: bool) -> None:
    warnings = [{"code": "ImageName.NotRecommended", "message": "recommended: another"}]
    change = {"message": "so", "warnings": warnings, "problems": problems, "publication_id": "p-1"}
    document = {
        "type": f"org.imagecommons.{kind}.v1",
        "change": change,
        "state": {"tags": {"acs:ecs:image:osVersion": "Debian 12"}},
    }
    console = Console(width=120)
    with console.capture() as capture:
        console.print(answer_view(document))
    assert ("recommended: another" in capture.get()) is noted
    assert ("acs:ecs:image:osVersion: Debian 12" in capture.get()) is noted
    assert ("image-commons report p-1" in capture.get()) is noted
