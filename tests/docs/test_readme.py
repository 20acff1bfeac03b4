"""What the README names is there, and its commands are read as meant."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from shared.contracts.facts import ImageRegistered
from tests.cli.parsed import parsed
from tests.cli.platform import PROJECT
from tests.docs.readme import README, blocks, checkout, steps


def test_readme_has_the_blocks_this_test_is_for() -> None:
    commands = [step.command for step in steps()]
    assert commands[:2] == ["image-commons stack up", "image-commons run all &"]
    assert commands[-1] == "image-commons stack down"
    assert len(commands) >= 20
    assert sum(bool(step.says) for step in steps()) >= 18
    assert README.count("\n```console\n$ make demo") == 2


@pytest.fixture
def place() -> Iterator[Path]:
    with checkout() as made:
        yield made


def test_commands_for_docker_compose_are_read_as_meant(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "images").mkdir()
    sent: list[BaseModel] = []
    for step in steps("parse"):
        words = shlex.split(step.command)
        if words[0] == "image-commons":
            sent.append(parsed(words[1:], monkeypatch))
        else:
            subprocess.run(words, cwd=place, check=True)
    (image,) = (fact for fact in sent if isinstance(fact, ImageRegistered))
    assert image.location == "file:///images/debian.qcow2"
    assert image.size_bytes == (place / "images" / "debian.qcow2").stat().st_size
    assert len(sent) == 4


def test_python_client_imports_nothing_of_ours_and_is_short() -> None:
    (client,) = blocks("file: client.py")
    assert len(client.splitlines()) <= 30
    imported = set(re.findall(r"^(?:from|import) ([\w, ]+)", client, re.MULTILINE))
    assert not {name.strip() for names in imported for name in names.split(",")} & {"shared", "services", "cli", "stack", "demo"}


def test_files_and_targets_the_readme_names_are_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (PROJECT / target).exists(), target
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)|^\$ make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target
