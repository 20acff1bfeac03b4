"""The README's blocks, as its tests read them.

The console blocks that follow `<!-- run: steps -->` are typed, in order, into one shell at a terminal of 100 columns, on a
stack of their own. A line `$ command` must exit with 0, or with N where `# exit N` follows; each line beneath it must be
one that the terminal shows, where `…` stands for anything. A block after `<!-- file: NAME -->` is that file. The commands
after `<!-- parse -->` need another machine's services: the command line reads them and does not send them.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.image import build
from demo.security_suite import databases
from tests.cli.platform import PROJECT

README = (PROJECT / "README.md").read_text()
_BLOCK = re.compile(r"<!-- (?P<mark>[\w:. ]+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    """A command of the README, how it ends, and what it says."""

    command: str
    exit_code: int = 0
    says: list[str] = field(default_factory=list)


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


@contextmanager
def checkout() -> Iterator[Path]:
    """Yield a folder that looks like a clean checkout to whoever types there; the database's own account can reach it."""
    build(PROJECT / ".cache" / "demo")
    databases(PROJECT / ".cache" / "demo")
    made = Path(tempfile.mkdtemp(prefix="image-commons-readme-", dir="/var/tmp"))
    try:
        made.chmod(0o755)
        for name in (".venv", ".cache", "README.md"):
            (made / name).symlink_to(PROJECT / name)
        (made / "client.py").write_text(*blocks("file: client.py"))
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
