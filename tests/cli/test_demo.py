"""The demo shows the commands that do what it does: each, read by the command line, makes the very request that was sent."""

from __future__ import annotations

import secrets
import shlex
from typing import Any

import pytest
from pydantic import BaseModel

import cli.commands.report
import cli.pages
import demo.story
from cli.client import Client
from cli.main import build
from demo.cast import Cast
from demo.image import DemoImages
from demo.narrator import Narrator
from demo.story import Story, UserImageRefused
from shared.contracts.facts import ImageRegistered
from tests.cli.parsed import parsed
from tests.cli.platform import PROJECT, Platform


class Recorder(Narrator):
    """Keeps the lines shown, and beside each what is sent or asked next."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[list[str], list[Any]]] = []

    def command(self, line: str) -> None:
        """Keep a line."""
        program, *arguments = shlex.split(line)
        assert program == "image-commons"
        self.steps.append((arguments, []))

    def did(self, what: Any) -> None:
        """Keep what was done, beneath the line shown last."""
        if what not in self.steps[-1][1]:
            self.steps[-1][1].append(what)


class RecordingClient(Client):
    """A client that tells the recorder what it sends."""

    recorder: Recorder

    async def _send(self, data: BaseModel, *, key: str, sequence: int | None = None) -> str:
        self.recorder.did(data)
        return await super()._send(data, key=key, sequence=sequence)


def questions(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, dict[str, object]]:
    """Return service, path and asker of the query that a command makes."""
    asked: list[tuple[str, str, dict[str, object]]] = []

    def keep(_: object, service: str, path: str, parameters: dict[str, object] | None = None, **__: Any) -> dict[str, Any]:
        asked.append((service, path, _asker(parameters)))
        return {"images": [], "report_id": "r"}

    with monkeypatch.context() as patched:
        patched.setattr(cli.pages, "pages", keep)
        patched.setattr("cli.http.query", keep)
        build(arguments)(arguments, standalone_mode=False)
    return asked[0]


def _asker(parameters: dict[str, object] | None) -> dict[str, object]:
    return {name: value for name, value in (parameters or {}).items() if name in {"account_id", "region"}}


async def told(platform: Platform, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder, query = Recorder(), demo.story.query

    def recorded(where: Any, service: str, path: str, parameters: dict[str, object]) -> Any:
        recorder.did((service, path, _asker(parameters)))
        return query(where, service, path, parameters)

    monkeypatch.setattr(demo.story, "query", recorded)
    async with RecordingClient(platform.endpoints) as client:
        client.recorder = recorder
        await Story(recorder, client, cast).tell()
    return recorder


async def test_each_command_shown_makes_the_request_that_is_sent(
    platform: Platform, images: DemoImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = await told(platform, Cast.of_demo(images, suffix=f"-{secrets.token_hex(4)}"), monkeypatch)
    commands = [arguments[0] for arguments, _ in recorder.steps]
    assert {"account", "image", "publish", "permit", "images", "launch", "unpublish", "reinit", "replace-os", "report"} == set(
        commands
    )
    for arguments, did in recorder.steps:
        assert len(did) == 1, f"{arguments} shows one thing and {len(did)} are done"
        if isinstance(did[0], BaseModel):
            made = parsed(arguments, monkeypatch)
            same = {"created_at": made.created_at} if isinstance(made, ImageRegistered) else {}
            assert made == did[0].model_copy(update=same), arguments
        else:
            assert questions(arguments, monkeypatch) == did[0], arguments


async def test_an_image_of_the_users_that_is_refused_ends_the_story_in_one_sentence(
    platform: Platform, images: DemoImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = images.qcow2.parent / f"text-{secrets.token_hex(4)}.md"
    text.write_bytes((PROJECT / "README.md").read_bytes())
    try:
        cast = Cast.of_user(text, images.with_backing_file, images.broken_fstab, suffix=f"-{secrets.token_hex(4)}")
        with pytest.raises(UserImageRefused, match=r"was refused \(.*DiskFormat.*\), so the story ends here"):
            await told(platform, cast, monkeypatch)
    finally:
        text.unlink()


def test_an_image_that_the_checker_sees_elsewhere_is_registered_there(
    images: DemoImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parsed(
        ["image", "register", "i", "--owner", "a", "--file", str(images.raw), "--images-root", "/srv/my images/"], monkeypatch
    )
    assert isinstance(made, ImageRegistered)
    assert made.location == "file:///srv/my%20images/debian.raw"
    made = parsed(
        ["image", "register", "i", "--owner", "a", "--file", str(images.raw), "--location", "https://h/x.raw"], monkeypatch
    )
    assert isinstance(made, ImageRegistered)
    assert (made.location, made.size_bytes) == ("https://h/x.raw", images.raw.stat().st_size)
    assert made.content_version.startswith("file-")
