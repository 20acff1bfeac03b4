# SPDX-License-Identifier: AGPL-3.0-or-later
"""One walk over all files of the image, for every item that needs to have seen each of them.

Nothing of a file is kept unless an item will look at it again: a system may have millions.
"""

import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from facts import Facts
from family import family_of
from filesystems.base import Stat
from findings import Unreadable, attempt
from security.budget import cpu_budget_s
from security.places import is_place_of_secrets, places_of_secrets
from tree import Found

PRIVILEGED_MAX = 4096
NOTABLE_MAX = 8192
NOTABLE_BYTES_MAX = 256 * 1024
CPU_S_MAX = 60.0
_LOOK_EVERY = 1000
_EXECUTABLE = 0o111
_CAPABILITY = "security.capability"


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
    """Probe: the walk."""
    files = Files()
    ended = attempt(lambda: _walk(facts, files))
    if isinstance(ended, Unreadable):
        files.unread.append(ended)
    if len(files.privileged) >= PRIVILEGED_MAX:
        files.unread.append(Unreadable("TooManyPrivileged", f"more than {PRIVILEGED_MAX} setuid, setgid or capability files"))
    if len(files.notable) >= NOTABLE_MAX:
        files.unread.append(Unreadable("TooManyFiles", f"more than {NOTABLE_MAX} small files where secrets are left"))
    return files


def _walk(facts: Facts, files: Files) -> None:
    places, windows = places_of_secrets(facts), family_of(facts) == "windows"
    until = time.process_time() + cpu_budget_s(CPU_S_MAX)
    for found, inode in _everything(facts, places):
        files.count += 1
        if files.count % _LOOK_EVERY == 0:
            # How many there will be is not known before the end.
            facts.tell("files", files.count, files.count + _LOOK_EVERY)
            if time.process_time() > until:
                raise Unreadable("TooManyFiles", f"after {files.count:,} files the CPU time for walking them was used up")
        if inode.kind != stat.S_IFREG:
            continue
        rights = _rights(found, inode)
        if rights and len(files.privileged) < PRIVILEGED_MAX:
            files.privileged.append(Privileged(found.path, rights))
        if 0 < inode.size <= NOTABLE_BYTES_MAX and len(files.notable) < NOTABLE_MAX and _is_place(found, places, windows=windows):
            files.notable.append((found, inode.size))


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
    words = struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])
    if len(words) < 3:
        return 0
    revision = words[0] >> 24
    low = words[1] | words[2]
    return low | (words[3] | words[4]) << 32 if revision in {2, 3} and len(words) >= 5 else low
