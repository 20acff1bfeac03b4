# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the items judge: everything the inspection found, each thing gathered once, when first asked for.

A *probe* is a function of `Facts`. One that could not read what it needs gives an `Unreadable` in place of its value, so that the
items that need it say `unsupported` with the reason, and the others are not harmed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import volumes
from claimed import Claimed
from containers import open_disk
from containers.header import Header
from filesystems.base import FileSystem
from findings import Unreadable, attempt
from tree import Tree
from volumes.volume import Volume

if TYPE_CHECKING:
    from malware.job import Job

T = TypeVar("T")
Tell = Callable[[str, int, int], None]
_SIGNS_OF_A_ROOT = ("/etc/os-release", "/usr/lib/os-release", "/etc/fstab", "/sbin/init", "/Windows/System32/config/SYSTEM")


@dataclass(slots=True)
class Facts:
    """What was found. `unreadable` is why nothing beyond the header could be read, if so.

    `disk` is the virtual disk, `root` the volume of the root file system, `tree` its files with what fstab mounts on them;
    `root_reasons` is why file systems could not be opened; `claimed` is what others say of the image;
    `malware` the search for it, where there are rules.
    """

    header: Header
    disk: BinaryIO | None = None
    unreadable: Unreadable | None = None
    volumes: list[Volume] = field(default_factory=list)
    root: Volume | None = None
    tree: Tree | None = None
    root_reasons: list[Unreadable] = field(default_factory=list)
    claimed: Claimed = field(default_factory=Claimed)
    malware: "Job | None" = None
    tell: Tell = lambda _phase, _done, _total: None
    _known: dict[Callable[["Facts"], Any], Any] = field(default_factory=dict)

    def get(self, probe: "Callable[[Facts], T]") -> T | Unreadable:
        """Return what `probe` finds, or why it cannot; it is asked once."""
        if probe not in self._known:
            self._known[probe] = attempt(lambda: probe(self))
        return cast("T | Unreadable", self._known[probe])

    def files(self) -> Tree:
        """Return the system's files; raises `Unreadable` where there is no system."""
        if self.tree is None:
            raise self.unreadable or Unreadable("NoRoot", "no root file system was found")
        return self.tree


def gather(descriptor: int, header: Header, tell: Tell) -> Facts:
    """Open the image; `tell` hears (phase, done, total). Never raises for what is in the image."""
    facts = Facts(header, tell=tell)
    blocking = [trouble for trouble in header.troubles if not trouble.readable]
    if blocking:
        facts.unreadable = Unreadable(blocking[0].code, blocking[0].text)
    elif header.encrypted:
        facts.unreadable = Unreadable("Encrypted", "the disk image is encrypted")
    else:
        opened = attempt(lambda: _open(facts, descriptor))
        if isinstance(opened, Unreadable):
            facts.unreadable = opened
    return facts


def _open(facts: Facts, descriptor: int) -> None:
    facts.disk = open_disk(descriptor, facts.header)
    facts.volumes = volumes.find(facts.disk, facts.header.virtual_size_bytes, facts.tell, facts.root_reasons)
    best = (0, False)
    for volume in facts.volumes:
        if volume.files is None:
            continue
        for rating, files, tree in _candidates(facts, volume.files):
            if rating > best:
                best, facts.root, facts.tree = rating, replace(volume, files=files), tree
    if facts.tree is not None:
        from linux.fstab import mount_all

        attempt(lambda: mount_all(facts))


def _candidates(facts: Facts, files: FileSystem) -> Iterator[tuple[tuple[int, bool], FileSystem, Tree]]:
    """Yield what of a file system may be the root, each with how many signs speak for it and whether its fstab says it is."""
    roots = files.roots()
    while True:
        root = attempt(lambda: next(roots, None))
        if isinstance(root, Unreadable):
            facts.root_reasons.append(root)
        if not isinstance(root, FileSystem):
            return
        tree = Tree(root)
        signs = attempt(lambda tree=tree: sum(tree.find(sign, follow=False) is not None for sign in _SIGNS_OF_A_ROOT))  # type: ignore[misc]
        if isinstance(signs, Unreadable):
            facts.root_reasons.append(signs)
        elif signs:
            from linux.fstab import is_as_mounted

            mounted = attempt(lambda tree=tree, root=root: is_as_mounted(tree, root))  # type: ignore[misc]
            yield (signs, mounted is True), root, tree
