"""A program in the inspector's place: does what it is told with some images, then hands over to the real inspector."""

import os
import sys
from pathlib import Path

from services.checker.adapters.inspector_process import default_command
from tests.messaging.cluster import eventually

_SCRIPT = """
import json, os, signal, sys, time

def say(**line):
    print(json.dumps(line), flush=True)

path = os.readlink("/proc/self/fd/" + sys.argv[sys.argv.index("--fd") + 1])
if os.path.basename(path).startswith({only!r}):
{program}
os.execv({command}[0], [*{command}, *sys.argv[1:]])
"""


def inspector(folder: Path, program: str, *, only: str = "") -> tuple[str, ...]:
    """A command that runs `program`, Python text, for images whose name begins with `only`, then the real inspector."""
    script = folder / "inspector.py"
    lines = "\n".join(f"    {line}" for line in program.splitlines())
    script.write_text(_SCRIPT.format(only=only, program=lines, command=list(default_command())))
    return (sys.executable, str(script))


class Halt:
    """A point at which an inspector waits, until the test lets it go on; `program` is what it runs to get there."""

    def __init__(self, folder: Path, name: str = "halt") -> None:
        self._began, self._go = folder / f"{name}.began", folder / f"{name}.go"
        self.program = f"""
with open({str(self._began) + ".new"!r}, "w") as file:
    file.write(str(os.getpid()))
os.rename({str(self._began) + ".new"!r}, {str(self._began)!r})
while not os.path.exists({str(self._go)!r}):
    time.sleep(0.01)
"""

    async def reached(self) -> int:
        """Wait until an inspector is there; returns its process id."""

        async def there() -> bool:
            return self._began.exists()

        await eventually(there)
        return int(self._began.read_text())

    def go_on(self) -> None:
        self._go.touch()


def alive(process_id: int) -> bool:
    """Whether the process runs: one that is dead and not yet waited for does not."""
    try:
        os.kill(process_id, 0)
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
