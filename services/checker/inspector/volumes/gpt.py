# SPDX-License-Identifier: AGPL-3.0-or-later
"""The GUID partition table: our own bounded reading. Source: UEFI specification 2.10, 5.3."""

import struct
import uuid
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from containers.header import SECTOR
from findings import Unreadable
from volumes.volume import Partition

ENTRIES_MAX = 1024
ENTRY_BYTES_MAX = 4096
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")


def partitions(disk: BinaryIO, size: int) -> list[Partition] | None:
    """Return the partitions of a GPT; None where there is none. Raises `Unreadable` for one that makes no sense.

    Where the primary table is damaged the backup at the end of the disk counts, as for firmware and kernels.
    """
    disk.seek(0)
    start = disk.read(2 * SECTOR)
    announced = start[510:512] == b"\x55\xaa" and any(start[446 + 16 * i + 4] == 0xEE for i in range(4))
    if start[SECTOR : SECTOR + 8] != b"EFI PART" and not announced:
        return None
    try:
        return list(_entries(disk, start[SECTOR:], size))
    except Unreadable as damage:
        disk.seek(max(0, size // SECTOR - 1) * SECTOR)
        backup = disk.read(SECTOR)
        if damage.code != "GptDamaged" or backup[:8] != b"EFI PART":
            raise
        return list(_entries(disk, backup, size))


def _entries(disk: BinaryIO, header: bytes, size: int) -> Iterator[Partition]:
    if header[:8] != b"EFI PART" or len(header) < SECTOR:
        raise Unreadable("GptDamaged", "the protective MBR announces a GPT, and there is none")
    header_size, checksum = struct.unpack("<II", header[12:20])
    entries_lba, count, entry_size, entries_checksum = struct.unpack("<QIII", header[72:92])
    if not 92 <= header_size <= SECTOR:
        raise Unreadable("GptDamaged", f"a GPT header of {header_size} bytes")
    if zlib.crc32(header[:16] + b"\0\0\0\0" + header[20:header_size]) != checksum:
        raise Unreadable("GptDamaged", "the checksum of the GPT header is wrong")
    if count > ENTRIES_MAX or not 128 <= entry_size <= ENTRY_BYTES_MAX or entries_lba * SECTOR + count * entry_size > size:
        raise Unreadable("GptDamaged", f"{count} GPT entries of {entry_size} bytes at sector {entries_lba}")
    (other_lba,) = struct.unpack("<Q", header[32:40])
    if (other_lba + 1) * SECTOR > size:
        raise Unreadable("Truncated", "the other copy of the partition table lies beyond the end of the disk")
    disk.seek(entries_lba * SECTOR)
    table = disk.read(count * entry_size)
    if zlib.crc32(table) != entries_checksum:
        raise Unreadable("GptDamaged", "the checksum of the GPT entries is wrong")
    for number in range(count):
        entry = table[number * entry_size : number * entry_size + 128]
        if len(entry) < 128 or entry[:16] == bytes(16):
            continue
        first, last = struct.unpack("<QQ", entry[32:48])
        if last < first or (last + 1) * SECTOR > size:
            raise Unreadable("PartitionBeyondDisk", f"partition {number + 1} reaches beyond the end of the disk")
        name = entry[56:128].decode("utf-16-le", "replace").split("\0")[0]
        kind, own = uuid.UUID(bytes_le=entry[:16]), uuid.UUID(bytes_le=entry[16:32])
        yield Partition(number + 1, first * SECTOR, (last - first + 1) * SECTOR, kind, str(own), name)
