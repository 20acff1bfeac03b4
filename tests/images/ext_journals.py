"""File systems of ext as a machine leaves them that loses its power: Linux itself works on them, and they are copied meanwhile.

Beside each copy is what Linux shows of it once it has replayed its journal. The work is done by a process in a mount namespace of
its own, so that nothing stays mounted; it needs root.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from demo.partitions import run

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS: Final = (20, 120, 500)
"""After how many changes the file system is copied; the log of the last went round."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What mke2fs is told, how it is mounted."""

    made: tuple[str, ...]
    mounted: str = "commit=300"


_4K: Final = ("-b", "4096", "-J", "size=4")
_1K: Final = ("-b", "1024", "-J", "size=1")
KINDS: Final = {
    "ext4": Kind((*_4K, "-t", "ext4", "-O", "64bit,metadata_csum")),
    "ext4-inline": Kind((*_1K, "-t", "ext4", "-O", "inline_data,metadata_csum_seed")),
    "ext4-plain": Kind((*_4K, "-t", "ext4", "-O", "^64bit,^metadata_csum")),
    "ext4-data": Kind((*_1K, "-t", "ext4", "-O", "64bit,metadata_csum"), "commit=300,data=journal"),
    "ext4-checksums": Kind((*_4K, "-t", "ext4", "-O", "^metadata_csum"), "commit=300,journal_checksum"),
    "ext4-async": Kind((*_1K, "-t", "ext4", "-O", "^metadata_csum"), "commit=300,journal_async_commit,data=writeback"),
    "ext3": Kind((*_1K, "-t", "ext3")),
    "ext3-data": Kind((*_4K, "-t", "ext3"), "commit=300,data=journal"),
    "fast": Kind(("-b", "1024", "-J", "size=8", "-t", "ext4", "-O", "fast_commit")),
}
"""Of each kind of tag, checksum and block; `fast` has commits that are not read."""


def dirty(name: str, folder: Path) -> list[tuple[Path, dict[str, list[object]]]]:
    """Return copies of a file system whose journal was not written back, each with what Linux shows of it."""
    run(["unshare", "--mount", sys.executable, "-m", "tests.images.ext_journals", name, str(folder)])
    return [(folder / f"{steps}.ext", json.loads((folder / f"{steps}.json").read_text())) for steps in STEPS]


@contextmanager
def _mounted(image: Path, options: str) -> Iterator[Path]:
    top = image.with_suffix(".top")
    top.mkdir()
    run(["mount", "-t", "ext4", "-o", f"loop,{options}", str(image), str(top)])
    try:
        yield top
    finally:
        run(["umount", str(top)])


class Worker:
    """Changes files at random, in the ways that each leave their own trace in a journal."""

    def __init__(self, top: Path, seed: str) -> None:
        self._numbers, self._files, self._folders = random.Random(seed), [top / "first"], [top]
        self._files[0].write_bytes(b"first")

    def work(self) -> None:
        """Make one change; some are synchronised at once."""
        numbers = self._numbers
        some, folder = numbers.choice(self._files), numbers.choice(self._folders)
        new = folder / f"{numbers.randrange(10**9)}"
        content = (
            b"\xc0\x3b\x39\x98" * 2000 if numbers.random() < 0.1 else numbers.randbytes(numbers.choice((5, 100, 5000, 40_000)))
        )
        match numbers.randrange(9):
            case 0 | 1 | 2:
                new.write_bytes(content)
                self._files.append(new)
            case 3:
                with some.open("r+b") as file:
                    file.write(content)
            case 4:
                self._files[self._files.index(some)] = some = some.rename(new)
            case 5 if len(self._files) > 1:
                some.unlink()
                self._files.remove(some)
            case 6:
                new.mkdir()
                self._folders.append(new)
            case 7:
                self._come_and_go(new)
            case _:
                some.chmod(numbers.choice((0o600, 0o4755)))
                os.setxattr(some, "user.note", content[:30])
        self._synchronise(some)

    def _come_and_go(self, new: Path) -> None:
        """Make a folder of many blocks, then remove it: its blocks are revoked, and others take them."""
        new.mkdir()
        for number in range(self._numbers.randrange(40)):
            (new / f"{number:0200}").symlink_to("x" * 200)
        os.sync()
        shutil.rmtree(new)

    def _synchronise(self, some: Path) -> None:
        if some.exists() and self._numbers.random() < 0.3:
            with some.open("rb") as file:
                os.fsync(file.fileno())


def shown(top: Path) -> dict[str, list[object]]:
    """Say what Linux shows: kind, mode, and content or target, by path."""
    found: dict[str, list[object]] = {}
    for one in top.rglob("*"):
        status = one.lstat()
        said: list[object] = [stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)]
        if one.is_symlink():
            said.append(str(one.readlink()))
        elif one.is_file():
            said += [hashlib.sha256(one.read_bytes()).hexdigest(), sorted(os.listxattr(one))]
        found[f"/{one.relative_to(top)}"] = said
    return found


def main(name: str, folder: str) -> None:
    """Make the copies of one kind."""
    place, kind = Path("/run/journals"), KINDS[name]
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"])  # of this mount namespace alone
    place.mkdir()
    image = place / "image"
    run(["truncate", "-s", "48M", str(image)])
    run(["mke2fs", "-q", *kind.made, str(image)])
    with ExitStack() as stack:
        top = stack.enter_context(_mounted(image, kind.mounted))
        worker = Worker(top, name)
        for step in range(1, max(STEPS) + 1):
            worker.work()
            if step in STEPS:
                shutil.copyfile(image, Path(folder) / f"{step}.ext")
    for step in STEPS:
        copy = place / f"{step}.copy"
        shutil.copyfile(Path(folder) / f"{step}.ext", copy)
        with _mounted(copy, "rw") as top:
            (Path(folder) / f"{step}.json").write_text(json.dumps(shown(top)))


if __name__ == "__main__":
    main(*sys.argv[1:])
