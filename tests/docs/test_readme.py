"""The README's blocks do what the README says.

A console or python block that follows `<!-- run: … -->` is run, in order: `check` blocks without a platform, `platform`
blocks against one. A console line `$ command` must exit with 0, or with N where `# exit N` follows; the lines beneath it
must be in its output.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from demo.image import build
from tests.cli.platform import PROJECT, Platform, platform_running

README = (PROJECT / "README.md").read_text()
_BLOCK = re.compile(r"<!-- run: (?P<where>\w+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    """A command of the README, how it ends, and what it says."""

    where: str
    command: list[str]
    exit_code: int = 0
    says: list[str] = field(default_factory=list)


def steps() -> Iterator[Step]:
    """Return the README's commands in order."""
    for block in _BLOCK.finditer(README):
        if block["language"] == "python":
            yield Step(
                block["where"], [sys.executable, "-c", block["text"]], says=["publication.refused.v1 ['InvalidImageStatus']"]
            )
            continue
        step: Step | None = None
        for line in block["text"].splitlines():
            if line.startswith("$ "):
                if step is not None:
                    yield step
                command, _, note = line[2:].partition("    # exit ")
                step = Step(block["where"], ["bash", "-c", command], int(note or 0))
            elif step is not None:
                step.says.append(line)
        if step is not None:
            yield step


def run(step: Step, variables: dict[str, str]) -> None:
    path = f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        step.command,
        cwd=PROJECT,
        env={**os.environ, **variables, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == step.exit_code, f"{step.command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    for line in step.says:
        assert line in done.stdout, f"{step.command} does not say {line!r}:\n{done.stdout}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Run a platform on which nothing has happened yet."""
    cache = PROJECT / ".cache" / "demo"
    images = build(cache)
    scratch: Path = tmp_path_factory.mktemp("readme")
    async with platform_running(servers, scratch, [cache, images.qcow2.parent]) as running:
        yield running


def test_readme_has_the_blocks_this_test_is_for() -> None:
    wheres = [step.where for step in steps()]
    assert set(wheres) == {"check", "platform"}
    assert len(wheres) >= 15
    assert README.count("\n```console\n$ make demo") == 1


def test_commands_without_a_platform() -> None:
    build(PROJECT / ".cache" / "demo")
    for step in steps():
        if step.where == "check":
            run(step, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "POSTGRES_DSN": "postgresql://127.0.0.1:1/x"})


def test_commands_on_a_platform(platform: Platform) -> None:
    for step in steps():
        if step.where == "platform":
            run(step, platform.variables)


def test_python_client_imports_nothing_of_ours_and_is_short() -> None:
    (client,) = (block["text"] for block in _BLOCK.finditer(README) if block["language"] == "python")
    assert len(client.splitlines()) <= 30
    imported = set(re.findall(r"^(?:from|import) ([\w, ]+)", client, re.MULTILINE))
    assert not {name.strip() for names in imported for name in names.split(",")} & {"shared", "services", "cli", "stack", "demo"}


def test_files_the_readme_links_to_are_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (PROJECT / target).exists(), target
