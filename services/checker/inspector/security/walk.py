# SPDX-License-Identifier: AGPL-3.0-or-later
"""One walk over all files of the image, for every item that needs to have seen each of them.

Nothing of a file is kept unless an item will look at it again: a system may have millions.
"""

import stat
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from facts import Facts
from family import family_of
from filesystems.base import FileSystem, Stat
from findings import Unreadable, attempt
from security.budget import cpu_budget_s
from security.places import PLACES_IN_ANY_SYSTEM, is_place_of_secrets, places_of_secrets
from tree import Found, Tree
from volumes.volume import Volume

PRIVILEGED_MAX = 4096
NOTABLE_MAX = 8192
NOTABLE_BYTES_MAX = 256 * 1024
CPU_S_MAX = 60.0
_LOOK_EVERY = 1000
_EXECUTABLE = 0o111
_CAPABILITY = "security.capability"
_TOP_OF_A_SYSTEM = ("/etc", "/usr")
Counted = Callable[[Iterator[tuple[Found, Stat]]], Iterator[tuple[Found, Stat]]]
"""Passes on the regular files of a walk, and ends it once it takes too long."""


@dataclass(frozen=True, slots=True)
class Privileged:
    """A file that gives its user more rights: its path, and which: setuid, setgid, or capabilities."""

    path: str
    rights: str


@dataclass(slots=True)
class Files:
    """What the walk kept. `notable` are the small files in places where people leave secrets.

    `unread` is why the walk did not see everything; then the rest is as far as it came.
    """

    count: int = 0
    privileged: list[Privileged] = field(default_factory=list)
    notable: list[tuple[Found, int]] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)


def all_files(facts: Facts) -> Files:
    """Probe: the walk, over the system's own files, then over those of volumes that it does not mount."""
    files, until = Files(), time.process_time() + cpu_budget_s(CPU_S_MAX)

    def counted(walk: Iterator[tuple[Found, Stat]]) -> Iterator[tuple[Found, Stat]]:
        for found, inode in walk:
            files.count += 1
            if files.count % _LOOK_EVERY == 0:
                # How many there will be is not known before the end.
                facts.tell("files", files.count, files.count + _LOOK_EVERY)
                if time.process_time() > until:
                    raise Unreadable("TooManyFiles", f"after {files.count:,} files the CPU time for walking them was used up")
            if inode.kind == stat.S_IFREG:
                yield found, inode

    walks = [partial(_walk, facts, files, counted)]
    mounted = _mounted(facts)
    walks += [partial(_walk_beside, volume, mounted, files, counted) for volume in facts.volumes]
    for walk in walks:
        ended = attempt(walk)
        if isinstance(ended, Unreadable):
            files.unread.append(ended)
    if len(files.privileged) >= PRIVILEGED_MAX:
        files.unread.append(Unreadable("TooManyPrivileged", f"more than {PRIVILEGED_MAX} setuid, setgid or capability files"))
    if len(files.notable) >= NOTABLE_MAX:
        files.unread.append(Unreadable("TooManyFiles", f"more than {NOTABLE_MAX} small files where secrets are left"))
    return files


def _walk(facts: Facts, files: Files, counted: Counted) -> None:
    places, windows = places_of_secrets(facts), family_of(facts) == "windows"
    for found, inode in counted(_everything(facts, places)):
        rights = _rights(found, inode)
        if rights and len(files.privileged) < PRIVILEGED_MAX:
            files.privileged.append(Privileged(found.path, rights))
        if _is_small(inode) and len(files.notable) < NOTABLE_MAX and _is_place(found, places, windows=windows):
            files.notable.append((found, inode.size))


def _mounted(facts: Facts) -> list[FileSystem]:
    """Return the file systems of which the system shows files."""
    tree = facts.files()
    return [one for point, one in tree.file_systems.items() if _is_shown(tree, point, one)]


def _is_shown(tree: Tree, point: str, files: FileSystem) -> bool:
    """Whether what is mounted at `point` is found there: folders above it may be missing."""
    found = attempt(lambda: tree.find(point))
    return isinstance(found, Found) and found.files is files


def _walk_beside(volume: Volume, mounted: list[FileSystem], files: Files, counted: Counted) -> None:
    """Note the small files of what the system does not show, though everybody who has the image can read them.

    Of the root of another system those in the usual places, else all; but what is entered from a mount has been walked, and of
    that only what is a system of its own is looked at: a snapshot, or a container's root.
    """
    if volume.files is None or not volume.files.is_read:
        return
    for name, view, is_entered in volume.files.beside(mounted):
        tree = Tree(view)
        is_system = all(map(tree.is_directory, _TOP_OF_A_SYSTEM))
        if is_entered and not is_system:
            continue
        places = PLACES_IN_ANY_SYSTEM if is_system else ("/",)
        shown = f"{volume.partition.shown} {name}".rstrip()
        for found, inode in counted(chain.from_iterable(map(tree.walk, places))):
            if _is_small(inode) and len(files.notable) < NOTABLE_MAX and is_place_of_secrets(found.path, places):
                files.notable.append((found._replace(path=f"{shown}:{found.path}"), inode.size))


def _is_small(inode: Stat) -> bool:
    return 0 < inode.size <= NOTABLE_BYTES_MAX


def _is_place(found: Found, places: tuple[str, ...], *, windows: bool) -> bool:
    """Whether secrets are left there. A FAT may write a folder's name otherwise than Linux asks for it; Windows asks in any."""
    if is_place_of_secrets(found.path, places):
        return True
    return not windows and found.files.ignores_case and is_place_of_secrets(found.path.lower(), tuple(map(str.lower, places)))


def _everything(facts: Facts, places: tuple[str, ...]) -> Iterator[tuple[Found, Stat]]:
    """Yield all files; of a Windows, whose files nobody owns by package, only those in places of secrets."""
    tree = facts.files()
    return chain.from_iterable(map(tree.walk, places)) if family_of(facts) == "windows" else tree.walk()


def _rights(found: Found, inode: Stat) -> str:
    if not inode.permissions & _EXECUTABLE:
        return ""
    words = []
    if inode.permissions & stat.S_ISUID:
        words.append(f"setuid {inode.uid}")
    # Without the group's x bit it means mandatory locking, and gives no rights.
    if inode.permissions & stat.S_ISGID and inode.permissions & stat.S_IXGRP:
        words.append(f"setgid {inode.gid}")
    capabilities = _capabilities(found.files.xattrs(found.node).get(_CAPABILITY, b""))
    if capabilities:
        words.append(f"capabilities {capabilities:#x}")
    return ", ".join(words)


def _capabilities(value: bytes) -> int:
    """Return the permitted and inheritable capabilities as bits. Source: Linux, struct vfs_ns_cap_data; capabilities(7)."""
    words: tuple[int, ...] = struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])
    if len(words) < 3:
        return 0
    revision = words[0] >> 24
    low = words[1] | words[2]
    return low | (words[3] | words[4]) << 32 if revision in {2, 3} and len(words) >= 5 else low
