# SPDX-License-Identifier: AGPL-3.0-or-later
"""The inspector: one open disk image in, JSON lines out.

Started as `python -I -B <this folder> --fd N`, with one inherited, read-only file descriptor. Writes to standard output one JSON
object a line: `{"begin": …}`, `{"progress": …}` now and then, `{"image": …}`, an `{"item": …}` for each item, `{"packages": …}`
for each part of a list of packages, `{"end": …}`. Its exit code is 0 whatever it found. A program of its own: the services import
nothing of it, and it imports nothing of theirs.
"""

import argparse
import codecs
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

from claimed import Claimed, claimed
from confinement import confine
from parsers import keep_at_hand

if TYPE_CHECKING:
    from malware.job import Job

VERSION = "1"
_TELL_EVERY_S = 0.2
MALWARE = "SECURITY.Malware"
"""The item that is judged only where there are rules to judge it by."""


class Line:
    """The line to the worker; progress is bounded in rate."""

    def __init__(self) -> None:
        self._told_at = 0.0

    def say(self, kind: str, document: object) -> None:
        """Write one line."""
        sys.stdout.write(json.dumps({kind: document}) + "\n")
        sys.stdout.flush()

    def progress(self, phase: str, done: int, total: int) -> None:
        """Write how far it is, at most five times a second, the end of a phase always."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S or done == total:
            self._told_at = now
            self.say("progress", {"phase": phase, "done": done, "total": total})


_FOR_BOTH = ("facts", "linux.fstab")
_FOR_THE_FIRST = ("family", "items", "packages")
_ENCODINGS = ("ascii", "unicode_escape", "utf-16-le")


def import_for_both() -> None:
    """Import what each process may need to read an image: once confined, no file can be opened, a module's neither."""
    for name in _FOR_BOTH:
        import_module(name)
    for name in _ENCODINGS:
        codecs.lookup(name)
    keep_at_hand()


def import_rest() -> None:
    """Import what the first process may need beside that."""
    for name in _FOR_THE_FIRST:
        import_module(name)


def inspect(descriptor: int, stated_format: str | None, said: Claimed, line: Line, job: "Job | None") -> None:
    """Look at the image and say what was found; the search for malware comes last, when the second process has begun it."""
    from containers import look
    from facts import gather
    from family import family_of
    from items import ITEMS, judge
    from packages import documents

    header = look(descriptor, stated_format)
    line.say("image", {"format": header.format, "size_bytes": header.size_bytes, "virtual_size_bytes": header.virtual_size_bytes})
    facts = gather(descriptor, header, line.progress)
    facts.claimed, facts.malware = said, job
    wanted = [item for item in ITEMS if family_of(facts) in item.FAMILIES and item.NAME != MALWARE]
    searches = [item for item in ITEMS if item.NAME == MALWARE and job is not None]
    many = len(wanted) + len(searches)
    for number, item in enumerate(wanted):
        line.progress("items", number, many)
        line.say("item", judge(item, facts).as_document())
    for part in documents(facts) if family_of(facts) == "linux" else ():
        line.say("packages", part)
    # Last, since the second process shares it: what is done alone is done before.
    for search in searches:
        line.progress("items", len(wanted), many)
        line.say("item", judge(search, facts).as_document())
    line.progress("items", many, many)
    line.say("end", {})


def main() -> None:
    """Parse the arguments, give up what is not needed, inspect."""
    parser = argparse.ArgumentParser(prog="inspector", description="Inspect one open disk image; JSON lines on standard output.")
    parser.add_argument("--fd", type=int, required=True, help="the open file, read-only")
    parser.add_argument("--format", default=None, help="the format that was stated, if any")
    parser.add_argument("--name", default=None, help="the image's name, if it has one")
    parser.add_argument("--claims", default=None, help="what its metadata claims, as a JSON object")
    parser.add_argument("--memory-bytes", type=int, default=1 << 30, help="address space it may use")
    parser.add_argument("--cpu-s", type=int, default=120, help="seconds of CPU it may use")
    parser.add_argument("--rules-fd", type=int, action="append", default=[], help="compiled YARA-X rules to search with")
    parser.add_argument("--stream-fd", type=int, action="append", default=[], help="pipes that take the files' contents")
    parser.add_argument("--stream-file-bytes", type=int, default=100 << 20, help="larger files are not written there")
    arguments = parser.parse_args()
    job, held = _confined(arguments)
    line = Line()
    line.say("begin", {"version": VERSION, "confinement": held})
    inspect(arguments.fd, arguments.format, claimed(arguments.name, arguments.claims), line, job)


def _confined(arguments: argparse.Namespace) -> "tuple[Job | None, list[str]]":
    """Load the rules, if any, and start the second process; then confine this one. Returns what holds all of them.

    The second begins while this one still imports what judges.
    """

    def confined(start_threads: Callable[[], None]) -> list[str]:
        return confine(memory_bytes=arguments.memory_bytes, cpu_s=arguments.cpu_s, start_threads=start_threads)

    import_for_both()
    if not arguments.rules_fd:
        import_rest()
        return None, confined(lambda: None)
    from malware.job import Job, image_at

    job = Job(arguments.rules_fd, arguments.stream_fd, arguments.stream_file_bytes)
    job.start_second(confined, lambda: image_at(arguments.fd, arguments.format))
    import_rest()
    held = confined(job.start_threads)
    second = job.second_held()
    if second is None:
        return job, held
    # Only what holds both of them holds.
    return job, [one for one in held if one in second] + [one for one in second if one not in held]


if __name__ == "__main__":
    main()
