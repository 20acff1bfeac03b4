# SPDX-License-Identifier: AGPL-3.0-or-later
"""Partitions and logical volumes of a disk, and what is on each."""

import struct
import uuid
from collections.abc import Callable
from typing import BinaryIO

from filesystems import open_file_system
from findings import Unreadable, attempt
from part import Part
from volumes import gpt, lvm, mbr
from volumes.volume import Partition, Volume

LUKS_MAGICS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
"""LUKS 1 and 2, and the second header of 2 (cryptsetup, LUKS2 on-disk format 1.1, 2.1)."""
BITLOCKER_TO_GO = uuid.UUID("4967d63b-2e29-4ad8-8399-f6a339e3d001")
"""At byte 424 of the boot sector of a removable volume; others name BitLocker in place of a file system (libbde, BDE format)."""
ISO_9660_AT = 0x8001
_PAGE_BYTES = (4096, 8192, 16384, 32768, 65536)


def find(disk: BinaryIO, size: int, tell: Callable[[str, int, int], None], reasons: list[Unreadable]) -> list[Volume]:
    """Return what is on the disk; why a file system could not be opened is added to `reasons`. Raises `Unreadable`."""
    whole = Part(disk, 0, size)
    if whole.at(ISO_9660_AT, 5) == b"CD001":
        # Also where it carries a partition table for sticks: an installation medium is no system's disk.
        return [Volume(Partition(0, 0, size), "iso9660")]
    found = gpt.partitions(disk, size)
    if found is None:
        found = mbr.partitions(disk, size)
    if found is None:
        found = [Partition(0, 0, size)]
    parts = [(partition, Part(disk, partition.offset_bytes, partition.size_bytes)) for partition in found]
    volumes, physical = [], []
    for number, (partition, part) in enumerate(parts):
        tell("partitions", number, len(found))
        volumes.append(_volume(part, partition, reasons))
        if volumes[-1].kind == "lvm2":
            member = attempt(lambda part=part: lvm.physical_volume(part))  # type: ignore[misc]
            if isinstance(member, Unreadable):
                reasons.append(member)
            else:
                physical.append(member)
    tell("partitions", len(found), len(found))
    return volumes + _logical_volumes(physical, reasons)


def _logical_volumes(physical: list[lvm.PhysicalVolume], reasons: list[Unreadable]) -> list[Volume]:
    volumes = []
    found = attempt(lambda: list(lvm.logical_volumes(physical)))
    if isinstance(found, Unreadable):
        reasons.append(found)
        return []
    for partition, part in found:
        if isinstance(part, Unreadable):
            reasons.append(part)
            volumes.append(Volume(partition, "unreadable"))
        else:
            volumes.append(_volume(part, partition, reasons))
    return volumes


def _volume(part: Part, partition: Partition, reasons: list[Unreadable]) -> Volume:
    start = part.at(0, 512)
    if start[:6] in LUKS_MAGICS:
        return Volume(partition, "luks")
    if start[3:11] == b"-FVE-FS-" or start[424:440] == BITLOCKER_TO_GO.bytes_le:
        return Volume(partition, "bitlocker")
    if lvm.is_it(part):
        return Volume(partition, "lvm2")
    files = attempt(lambda: open_file_system(part))
    if isinstance(files, Unreadable):
        reasons.append(files)
        return Volume(partition, "unreadable")
    if files is not None:
        return Volume(partition, files.kind, files.uuid, files.label, files if files.is_read else None)
    return _swap(part, partition) or Volume(partition, "iso9660" if part.at(ISO_9660_AT, 5) == b"CD001" else "unknown")


def _swap(part: Part, partition: Partition) -> Volume | None:
    """Recognise a swap area by the signature at the end of its first page, whose size is the machine's. Source: mkswap(8)."""
    for page in _PAGE_BYTES:
        if part.at(page - 10, 10) == b"SWAPSPACE2":
            header = part.at(1024, 44)
            if struct.unpack("<I", header[:4])[0] != 1:
                return Volume(partition, "swap")
            label = header[28:44].split(b"\0")[0].decode(errors="backslashreplace")
            return Volume(partition, "swap", str(uuid.UUID(bytes=header[12:28])), label or None)
    return None
