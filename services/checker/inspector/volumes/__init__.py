# SPDX-License-Identifier: AGPL-3.0-or-later
"""Partitions and logical volumes of a disk, and what is on each."""

from collections.abc import Callable
from typing import BinaryIO

from filesystems import open_file_system
from findings import Unreadable, attempt
from part import Part
from volumes import gpt
from volumes.volume import Partition, Volume

LUKS_MAGICS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
"""LUKS 1 and 2, and the second header of 2 (cryptsetup, LUKS2 on-disk format 1.1, 2.1)."""


def find(disk: BinaryIO, size: int, tell: Callable[[str, int, int], None], reasons: list[Unreadable]) -> list[Volume]:
    """Return what is on the disk; why a file system could not be opened is added to `reasons`. Raises `Unreadable`."""
    found = gpt.partitions(disk, size)
    if found is None:
        found = [Partition(0, 0, size)]
    volumes = []
    for number, partition in enumerate(found):
        tell("partitions", number, len(found))
        volumes.append(_volume(Part(disk, partition.offset_bytes, partition.size_bytes), partition, reasons))
    tell("partitions", len(found), len(found))
    return volumes


def _volume(part: Part, partition: Partition, reasons: list[Unreadable]) -> Volume:
    if part.at(0, 6) in LUKS_MAGICS:
        return Volume(partition, "luks")
    files = attempt(lambda: open_file_system(part))
    if isinstance(files, Unreadable):
        reasons.append(files)
        return Volume(partition, "unreadable")
    if files is not None:
        return Volume(partition, files.kind, files.uuid, files.label, files if files.is_read else None)
    return Volume(partition, "swap" if part.at(4086, 10) == b"SWAPSPACE2" else "unknown")
