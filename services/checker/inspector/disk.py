# SPDX-License-Identifier: AGPL-3.0-or-later
"""The disk inside the container, and its partitions: our own bounded reading of GPT.

Source: UEFI specification 2.10, 5.3 (GUID partition table).
"""

import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from findings import Unreadable
from header import LUKS_MAGICS, SECTOR, Header

ENTRIES_MAX = 1024
ENTRY_BYTES_MAX = 4096
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the disk: where it lies in bytes, its GPT type, id and name where it has them."""

    number: int
    offset_bytes: int
    size_bytes: int
    type: uuid.UUID | None = None
    id: uuid.UUID | None = None
    name: str = ""


class Part:
    """A window on a disk as a read-only file object; reading outside it gives nothing."""

    def __init__(self, disk: BinaryIO, offset: int, size: int) -> None:
        self._disk, self._offset, self.size, self._at = disk, offset, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, length: int = -1) -> bytes:
        """Read up to `length` bytes, never beyond the window."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        if not wanted:
            return b""
        self._disk.seek(self._offset + self._at)
        data = self._disk.read(wanted)
        self._at += len(data)
        return data


def open_disk(descriptor: int, header: Header) -> BinaryIO:
    """Return the virtual disk as a file object. The format is the one our own look at the header found; nothing is guessed."""
    file = os.fdopen(os.dup(descriptor), "rb")
    if header.format == "raw":
        return file
    from dissect.hypervisor.disk.qcow2 import QCow2  # a file object: given a path it would follow neighbouring files

    return QCow2(file).open()


def partitions(disk: BinaryIO, size: int) -> list[Partition]:
    """Return the partitions of a GPT; the whole disk as one where there is no table. Raises `Unreadable`."""
    disk.seek(0)
    start = disk.read(2 * SECTOR)
    if start[SECTOR : SECTOR + 8] != b"EFI PART":
        if start[510:512] == b"\x55\xaa" and any(start[446 + 16 * i + 4] == 0xEE for i in range(4)):
            raise Unreadable("GptDamaged", "the protective MBR announces a GPT, and there is none")
        return [Partition(0, 0, size)]
    return list(_gpt(disk, start[SECTOR:], size))


def _gpt(disk: BinaryIO, header: bytes, size: int) -> Iterator[Partition]:
    header_size, checksum = struct.unpack("<II", header[12:20])
    entries_lba, count, entry_size = struct.unpack("<QII", header[72:88])
    if not 92 <= header_size <= SECTOR:
        raise Unreadable("GptDamaged", f"a GPT header of {header_size} bytes")
    if zlib.crc32(header[:16] + b"\0\0\0\0" + header[20:header_size]) != checksum:
        raise Unreadable("GptDamaged", "the checksum of the GPT header is wrong")
    if count > ENTRIES_MAX or not 128 <= entry_size <= ENTRY_BYTES_MAX or entries_lba * SECTOR + count * entry_size > size:
        raise Unreadable("GptDamaged", f"{count} GPT entries of {entry_size} bytes at sector {entries_lba}")
    disk.seek(entries_lba * SECTOR)
    table = disk.read(count * entry_size)
    for number in range(count):
        entry = table[number * entry_size : number * entry_size + 128]
        if len(entry) < 128 or entry[:16] == bytes(16):
            continue
        first, last = struct.unpack("<QQ", entry[32:48])
        if last < first or (last + 1) * SECTOR > size:
            raise Unreadable("PartitionBeyondDisk", f"partition {number + 1} reaches beyond the end of the disk")
        name = entry[56:128].decode("utf-16-le", "replace").split("\0")[0]
        kind, own = uuid.UUID(bytes_le=entry[:16]), uuid.UUID(bytes_le=entry[16:32])
        yield Partition(number + 1, first * SECTOR, (last - first + 1) * SECTOR, kind, own, name)


def is_luks(disk: BinaryIO, partition: Partition) -> bool:
    """Whether the partition begins with a LUKS header (version 1, 2, or a detached second header)."""
    disk.seek(partition.offset_bytes)
    return disk.read(6) in LUKS_MAGICS
