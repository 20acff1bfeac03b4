# SPDX-License-Identifier: AGPL-3.0-or-later
"""File systems, one file each: recognised by our own look at the super block, judged, then given to a parser."""

from filesystems import btrfs, ext, fat, ntfs, xfs
from filesystems.base import FileSystem
from part import Part


def open_file_system(part: Part) -> FileSystem | None:
    """Return the file system in `part`; None if there is none that is known. Raises `Unreadable` for one that makes no sense."""
    for module in (ext, xfs, btrfs, ntfs, fat):
        if module.is_it(part):
            return module.open_it(part)
    return None
