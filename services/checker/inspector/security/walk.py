# SPDX-License-Identifier: AGPL-3.0-or-later
"""One walk over all files of the image, for every item that needs to have seen each of them.

Nothing of a file is kept unless an item will look at it again: a system may have millions.
"""

import stat
import struct
import time
from collections.abc import Hashable, Iterator
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
_TROUBLES_MAX = 16
_EXECUTABLE = 0o111
_CAPABILITY = "security.capability"
_TOP_OF_A_SYSTEM = ("/etc", "/usr")


@dataclass(frozen=True, slots=True)
class Privileged:
    """A file that gives its user more rights: its path, and which: setuid, setgid, or capabilities."""

    path: str
    rights: str


@dataclass(slots=True)
class Files:
    """What the walk kept.

    `notable` are the small files in places where people leave secrets, `beside` those of what is not mounted. `unread` is why not
    everything that is mounted was seen, `unread_beside` the same of the rest; what is here is then as far as it came.
    """

    count: int = 0
    privileged: list[Privileged] = field(default_factory=list)
    notable: list[tuple[Found, int]] = field(default_factory=list)
    beside: list[tuple[Found, int]] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)
    unread_beside: list[Unreadable] = field(default_factory=list)


class _Steps:
    """Counts what the walks come to, tells how far they are, and ends them when their CPU time is used up."""

    def __init__(self, facts: Facts, files: Files) -> None:
        self._facts, self._files, self._until = facts, files, time.process_time() + cpu_budget_s(CPU_S_MAX)

    def look(self) -> None:
        """Raise `Unreadable` if there is no time left."""
        if time.process_time() > self._until:
            raise Unreadable("TooManyFiles", f"after {self._files.count:,} files the CPU time for walking them was used up")

    def regular(self, walk: Iterator[tuple[Found, Stat]]) -> Iterator[tuple[Found, Stat]]:
        """Pass on the regular files of a walk."""
        for found, inode in walk:
            self._files.count += 1
            if self._files.count % _LOOK_EVERY == 0:
                # How many there will be is not known before the end.
                self._facts.tell("files", self._files.count, self._files.count + _LOOK_EVERY)
                self.look()
            if inode.kind == stat.S_IFREG:
                yield found, inode


def all_files(facts: Facts) -> Files:
    """Probe: the walk, over the system's own files, then over those that it does not mount."""
    files = Files()
    steps = _Steps(facts, files)
    _note(files.unread, attempt(partial(_walk, facts, files, steps)))
    if len(files.privileged) >= PRIVILEGED_MAX:
        files.unread.append(Unreadable("TooManyPrivileged", f"more than {PRIVILEGED_MAX} setuid, setgid or capability files"))
    if len(files.notable) >= NOTABLE_MAX:
        files.unread.append(Unreadable("TooManyFiles", f"more than {NOTABLE_MAX} small files where secrets are left"))
    for volume in facts.volumes:
        _note(files.unread_beside, attempt(partial(_walk_beside, facts, volume, files, steps)))
    if len(files.beside) >= NOTABLE_MAX:
        files.unread_beside.append(Unreadable("TooManyFiles", f"more than {NOTABLE_MAX} small files that nothing mounts"))
    return files


def _note(troubles: list[Unreadable], ended: Unreadable | None) -> None:
    if ended is not None and len(troubles) < _TROUBLES_MAX:
        troubles.append(ended)


def _walk(facts: Facts, files: Files, steps: _Steps) -> None:
    places, windows = places_of_secrets(facts), family_of(facts) == "windows"
    for found, inode in steps.regular(_everything(facts, places)):
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


def _walk_beside(facts: Facts, volume: Volume, files: Files, steps: _Steps) -> None:
    """Note the small files of what the system does not show, though everybody who has the image can read them.

    Of the root of another system those in the usual places, else all; but what is entered from a mount has been walked, and of
    that only what is a system of its own is looked at: a snapshot, or a container's root.
    """
    if volume.files is None or not volume.files.is_read:
        return
    for name, view, is_entered in volume.files.beside(_mounted(facts)):
        steps.look()
        shown = f"{volume.partition.shown} {name}".rstrip()
        _note(files.unread_beside, attempt(partial(_walk_view, facts, Tree(view), shown, files, steps, is_entered=is_entered)))


def _walk_view(facts: Facts, tree: Tree, shown: str, files: Files, steps: _Steps, *, is_entered: bool) -> None:
    is_system = all(map(tree.is_directory, _TOP_OF_A_SYSTEM))
    if is_entered and not is_system:
        return
    seen: set[Hashable] = set()
    for place in PLACES_IN_ANY_SYSTEM if is_system else ("/",):
        top = tree.find(place)
        if top is None or top.stat().kind != stat.S_IFDIR:
            continue
        below = f"{top.path.rstrip('/')}/"
        for found, inode in steps.regular(tree.walk(top.path)):
            key = tree.root.identity(found.node)
            if not _is_small(inode) or key in seen or not is_place_of_secrets(found.path, (below,)):
                continue
            if len(files.beside) >= NOTABLE_MAX:
                return
            seen.add(key)
            if not (is_system and _is_as_mounted(facts, found, inode)):
                files.beside.append((found._replace(path=f"{shown}:{found.path}"), inode.size))


def _is_as_mounted(facts: Facts, found: Found, inode: Stat) -> bool:
    """Whether the system has that file too, as a snapshot of it has: what is to be said of it is said there."""
    other = attempt(lambda: facts.files().find(found.path, follow=False))
    if not isinstance(other, Found):
        return False
    own = other.stat()
    return (own.kind, own.size, own.mtime) == (inode.kind, inode.size, inode.mtime)


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
