# SPDX-License-Identifier: AGPL-3.0-or-later
"""File systems, one file each: recognised by our own look at the super block, judged, then given to a parser."""

from typing import Protocol

from filesystems import btrfs, ext, fat, ntfs, xfs
from filesystems.base import FileSystem
from part import Part


class _Module(Protocol):
    def is_it(self, part: Part, /) -> bool: ...
    def open_it(self, part: Part, /) -> FileSystem: ...


def open_file_system(part: Part) -> FileSystem | None:
    """Return the file system in `part`; None if there is none that is known. Raises `Unreadable` for one that makes no sense."""
    modules: tuple[_Module, ...] = (ext, xfs, btrfs, ntfs, fat)
    for module in modules:
        if module.is_it(part):
            return module.open_it(part)
    return None
