"""The README's first steps do what the README says, as a person would type them and see it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.platform import PROJECT
from tests.docs.readme import checkout, steps

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROGRESS = re.compile(r"checking \w* *[━╸╺ ]+[^\n]*?\d:\d\d:\d\d")
"""A progress bar, drawn over and over; what a job in the background says may follow it on its line."""
COLUMNS = 100


@dataclass
class Seen:
    """What the terminal showed of a step, what it showed from there to the end, and how the step ended."""

    shown: str
    onwards: str
    exit_code: int


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
def test_first_steps_as_typed() -> None:
    wrong = []
    with checkout() as place:
        shown = typed(place)
    for step, seen in zip(steps(), shown, strict=True):
        # What runs in the background speaks when it has something to say.
        text = seen.onwards if step.command.endswith("&") else seen.shown
        missing = [line for line in step.says if not shows(line, text)]
        if seen.exit_code != step.exit_code or missing or "error" in seen.shown:
            wrong.append(f"{step.command}: exit code {seen.exit_code}, does not show {missing}:\n{text[:3000]}")
    assert not wrong, "\n".join(wrong)
