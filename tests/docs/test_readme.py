"""The README's blocks do what the README says, as a person would type them and see it.

The console blocks that follow `<!-- run: steps -->` are typed, in order, into one shell at a terminal of 100 columns, on a
stack of their own. A line `$ command` must exit with 0, or with N where `# exit N` follows; each line beneath it must be
one that the terminal shows, where `…` stands for anything. A block after `<!-- file: NAME -->` is that file. The commands
after `<!-- parse -->` need another machine's services: the command line reads them and does not send them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from demo.image import build
from demo.security_suite import databases
from shared.contracts.facts import ImageRegistered
from tests.cli.parsed import parsed
from tests.cli.platform import PROJECT

README = (PROJECT / "README.md").read_text()
_BLOCK = re.compile(r"<!-- (?P<mark>[\w:. ]+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROGRESS = re.compile(r"checking \w* *[━╸╺ ]+[^\n]*?\d:\d\d:\d\d")
"""A progress bar, drawn over and over; what a job in the background says may follow it on its line."""
COLUMNS = 100


@dataclass
class Step:
    """A command of the README, how it ends, and what it says."""

    command: str
    exit_code: int = 0
    says: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """What the terminal showed of a step, what it showed from there to the end, and how the step ended."""

    shown: str
    onwards: str
    exit_code: int


def blocks(mark: str) -> list[str]:
    return [block["text"] for block in _BLOCK.finditer(README) if block["mark"] == mark]


def steps(mark: str = "run: steps") -> list[Step]:
    """Return the README's commands in order."""
    found: list[Step] = []
    for line in "".join(blocks(mark)).splitlines():
        if line.startswith("$ "):
            command, _, note = line[2:].partition("    # exit ")
            found.append(Step(command, int(note or 0)))
        else:
            found[-1].says.append(line)
    return found


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Return a folder that looks like a clean checkout to whoever types there; the database's own account can reach it."""
    made = Path(tempfile.mkdtemp(prefix="image-commons-readme-", dir="/var/tmp"))
    made.chmod(0o755)
    for name in (".venv", ".cache", "README.md"):
        (made / name).symlink_to(PROJECT / name)
    (made / "client.py").write_text(*blocks("file: client.py"))
    build(PROJECT / ".cache" / "demo")
    databases(PROJECT / ".cache" / "demo")
    yield made
    shutil.rmtree(made, ignore_errors=True)


def typed(place: Path) -> list[Seen]:
    """Type every step into one shell at a terminal."""
    lines = ['export PATH="$PWD/.venv/bin:$PATH"', "trap 'kill $(jobs -p) 2>/dev/null; wait; image-commons stack down' EXIT HUP"]
    for number, step in enumerate(steps()):
        lines += [f"printf '\\n@@begin {number}\\n'", step.command, f"printf '\\n@@end {number} %d\\n' $?"]
    (place / "steps.sh").write_text("\n".join(lines) + "\n")
    left_out = ("KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_DSN")
    environment = {name: value for name, value in os.environ.items() if name not in left_out and "IMAGE_COMMONS" not in name}
    environment |= {"IMAGE_COMMONS_STACK": str(place / "stack"), "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm"}
    environment["PYTHONPATH"] = str(PROJECT)
    environment["XDG_DATA_HOME"] = str(place / "data")
    done = subprocess.run(
        ["script", "-qec", "bash steps.sh", "/dev/null"],
        cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=280, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    text = _PROGRESS.sub("\n", _ESCAPE.sub("", done.stdout).replace("\r", ""))
    seen = []
    for number, step in enumerate(steps()):
        ended = re.search(rf"^@@begin {number}\n(.*?)^@@end {number} (\d+)$", text, re.DOTALL | re.MULTILINE)
        assert ended is not None, f"{step.command} did not end:\n{text[-3000:]}"
        seen.append(Seen(ended[1], text[ended.start() :], int(ended[2])))
    return seen


def shows(line: str, text: str) -> bool:
    """Tell whether `line` is one of the lines of `text`; its `…` is anything."""
    pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
    return any(re.fullmatch(pattern, shown.strip()) for shown in text.splitlines())


@pytest.mark.timeout(300)
def test_first_steps_as_typed(place: Path) -> None:
    wrong = []
    for step, seen in zip(steps(), typed(place), strict=True):
        # What runs in the background speaks when it has something to say.
        text = seen.onwards if step.command.endswith("&") else seen.shown
        missing = [line for line in step.says if not shows(line, text)]
        if seen.exit_code != step.exit_code or missing or "error" in seen.shown:
            wrong.append(f"{step.command}: exit code {seen.exit_code}, does not show {missing}:\n{text[:3000]}")
    assert not wrong, "\n".join(wrong)


def test_readme_has_the_blocks_this_test_is_for() -> None:
    commands = [step.command for step in steps()]
    assert commands[:2] == ["image-commons stack up", "image-commons run all &"]
    assert commands[-1] == "image-commons stack down"
    assert len(commands) >= 20
    assert sum(bool(step.says) for step in steps()) >= 18
    assert README.count("\n```console\n$ make demo") == 2


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
