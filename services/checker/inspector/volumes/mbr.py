# SPDX-License-Identifier: AGPL-3.0-or-later
"""The partition table of a PC's master boot record, with logical partitions: our own bounded reading.

Sources: UEFI specification 2.10, 5.2; Linux, block/partitions/msdos.c (what is taken for a table, and how PARTUUIDs are made).
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from containers.header import SECTOR
from findings import Unreadable
from volumes.gpt import ESP
from volumes.volume import Partition

LOGICAL_MAX = 128
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE
_TYPES = {0xEF: ESP}


def partitions(disk: BinaryIO, size: int) -> list[Partition] | None:
    """Return the partitions of an MBR; None where there is none. Raises `Unreadable` for one that makes no sense."""
    disk.seek(0)
    first = disk.read(SECTOR)
    if not _is_table(first):
        return None
    disk_id = first[440:444][::-1].hex()
    return [_partition(number, disk_id, kind, start, count, size) for number, kind, start, count in _all(disk, first, size)]


def _is_table(first: bytes) -> bool:
    """Tell a table from the boot code of a file system without partitions, which has the same signature."""
    if len(first) < SECTOR or first[510:] != b"\x55\xaa" or first[3:11] in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"):
        return False
    if first[54:57] == b"FAT" or first[82:87] == b"FAT32":
        return False
    entries = [first[at : at + 16] for at in range(446, 510, 16)]
    return all(entry[0] in (0, 0x80) for entry in entries) and any(_entry(entry)[0] for entry in entries)


def _entry(entry: bytes) -> tuple[int, int, int]:
    """Return type, first sector and number of sectors; type 0 for what is none."""
    start, count = struct.unpack("<II", entry[8:16])
    return (entry[4] if count else 0, start, count)


def _all(disk: BinaryIO, first: bytes, size: int) -> Iterator[tuple[int, int, int, int]]:
    extended: list[int] = []
    for number in range(4):
        kind, start, count = _entry(first[446 + number * 16 : 462 + number * 16])
        if kind in _EXTENDED:
            extended.append(start)
        elif kind and kind != _PROTECTIVE:
            yield number + 1, kind, start, count
    number = 5
    for start in extended[:1]:
        for kind, begin, count in _logical(disk, start, size):
            yield number, kind, begin, count
            number += 1


def _logical(disk: BinaryIO, base: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Follow the chain of extended boot records, each of which names one partition and the next record."""
    at, seen = base, set[int]()
    while True:
        if at in seen or len(seen) >= LOGICAL_MAX:
            raise Unreadable("MbrDamaged", "the chain of logical partitions does not end")
        seen.add(at)
        if (at + 1) * SECTOR > size:
            raise Unreadable("PartitionBeyondDisk", "an extended boot record lies beyond the end of the disk")
        disk.seek(at * SECTOR)
        record = disk.read(SECTOR)
        if record[510:] != b"\x55\xaa":
            return
        following = None
        for number in range(4):
            kind, start, count = _entry(record[446 + number * 16 : 462 + number * 16])
            if kind in _EXTENDED:
                following = base + start if following is None else following
            elif kind:
                yield kind, at + start, count
        if following is None:
            return
        at = following


def _partition(number: int, disk_id: str, kind: int, start: int, count: int, size: int) -> Partition:
    if not start or (start + count) * SECTOR > size:
        raise Unreadable("PartitionBeyondDisk", f"partition {number} reaches beyond the end of the disk")
    return Partition(number, start * SECTOR, count * SECTOR, _TYPES.get(kind), f"{disk_id}-{number:02x}")
