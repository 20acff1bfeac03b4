"""Inputs out of third parties' packages, and what the inspector's readers make of them, in processes with limits."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import resource
import signal
import stat
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filesystems import open_file_system
from findings import Unreadable, attempt
from part import Part
from tests.images.fetch import fetch, member, members
from tests.inspector.disks import write_with_holes
from tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PINS: Final = Path(__file__).with_name("third_party.toml")
SECONDS_MAX: Final = 60
_ADDRESS_SPACE: Final = 2 << 30
_BYTES_MAX: Final = 4 << 20
_PIECE_BYTES: Final = 64 << 10
_UNPACK: Final = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}
Listing = dict[str, tuple[int, int, str]]


def package(name: str) -> Path:
    """Return the archive of a package in `third_party.toml`."""
    pins = tomllib.loads(PINS.read_text())["package"]
    (pin,) = [one for one in pins if one["name"].endswith(name)]
    return fetch(**pin)


def one(name: str, path: str, target: Path) -> Path:
    """Write one member of a package to `target`, unpacked."""
    _write(target, _unpacked(path, member(package(name), path)))
    return target


def many(name: str, pattern: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write a package's members that match, unpacked; yield their path in it and their file, empty ones left out."""
    for number, (path, data) in enumerate(members(package(name), pattern)):
        if data:
            target = folder / f"{number}-{Path(path).parent.name}-{Path(path).name}"
            _write(target, _unpacked(path, data))
            yield path, target


def _write(target: Path, data: bytes) -> None:
    write_with_holes(target, (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)))


def _unpacked(path: str, data: bytes) -> bytes:
    return _UNPACK.get(Path(path).suffix, bytes)(data)


def listing(path: Path) -> Listing | Unreadable | None:
    """Return type, size and digest (or link target) of everything in a file system; None where it is none that is read."""
    with path.open("rb") as file:
        found = attempt(lambda: open_file_system(Part(file, 0, path.stat().st_size)))
        if found is None or isinstance(found, Unreadable):
            return found
        return attempt(lambda: _listed(Tree(found)))


def _listed(tree: Tree) -> Listing:
    told: Listing = {}
    for child, said in tree.walk():
        kind, size, digest = said.kind, 0, ""
        if kind == stat.S_IFREG:
            size = int(said.size)
            # The beginning is compared: of damaged file systems some say that a file has terabytes.
            content = attempt(lambda child=child, size=size: child.open().read(min(size, _BYTES_MAX)))  # type: ignore[misc]
            digest = content.code if isinstance(content, Unreadable) else hashlib.sha256(content).hexdigest()
        elif kind == stat.S_IFLNK:
            target = attempt(lambda child=child: child.files.link_target(child.node))  # type: ignore[misc]
            digest = target.code if isinstance(target, Unreadable) else str(target)
        told[child.path] = (int(kind), size, digest)
    return told


def on_disk(folder: Path) -> Listing:
    """Return the same of a folder here, as another tool unpacked it."""
    told: Listing = {}
    for path in folder.rglob("*"):
        found, name = path.lstat(), f"/{path.relative_to(folder)}"
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFREG:
            told[name] = (kind, found.st_size, _digest(path))
        else:
            told[name] = (kind, 0, str(path.readlink()) if kind == stat.S_IFLNK else "")
    return told


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(_BYTES_MAX)).hexdigest()


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))


def _timed(read: Callable[[Path], object], path: Path) -> object:
    began = time.process_time()
    signal.alarm(10 * SECONDS_MAX)  # a hang ends the process, and with it the test
    found = read(path)
    signal.alarm(0)
    spent = time.process_time() - began
    if spent > SECONDS_MAX:
        message = f"{path.name} took {spent:.0f} s"
        raise TimeoutError(message)
    return str(found) if isinstance(found, Unreadable) else found


def in_limits(read: Callable[[Path], object], paths: Iterable[Path]) -> list[object]:
    """Return what `read` makes of each file, within time and memory; raises if a process dies of one."""
    files = list(paths)
    with ProcessPoolExecutor(2, get_context("fork"), _limit) as pool:
        return list(pool.map(_timed, [read] * len(files), files))
