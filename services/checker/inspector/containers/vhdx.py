# SPDX-License-Identifier: AGPL-3.0-or-later
"""VHDX, fixed or dynamic. Source: Microsoft, [MS-VHDX] Virtual Hard Disk v2 File Format."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from checksums import crc32c
from containers.blocks import BlockDisk, Numbers, as_file
from containers.header import TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble
from findings import Unreadable, attempt

FORMAT = "vhdx"
_KIB, _MIB = 1 << 10, 1 << 20
_ENTRIES_MAX = 2047
_BAT = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_VIRTUAL_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_LOGICAL_SECTOR = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_KNOWN_ITEMS = {
    _FILE_PARAMETERS,
    _VIRTUAL_SIZE,
    _LOGICAL_SECTOR,
    UUID("cda348c7-445d-4471-9cc9-e9885251c556"),  # physical sector size
    UUID("beca12ab-b2e6-4523-93ef-c309e000c746"),  # virtual disk id
    UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c"),  # parent locator
}
_FULLY_PRESENT, _PARTIALLY_PRESENT = 6, 7


@dataclass(frozen=True, slots=True)
class _Disk:
    """What regions and metadata say."""

    virtual: int
    block: int
    sector: int
    has_parent: bool
    table_at: int
    table_bytes: int

    @property
    def chunk_ratio(self) -> int:
        """After so many entries for blocks one for a bitmap follows in the table (2.5)."""
        return (self.sector << 23) // self.block

    def entry_at(self, number: int) -> int:
        """Return the offset of a block's entry."""
        return self.table_at + (number + number // self.chunk_ratio) * 8


def is_it(image: Image) -> bool:
    """Tell by the signature."""
    return image.head[:8] == b"vhdxfile"


def look(image: Image) -> Header:
    """Judge headers, regions and metadata, then compare every block that the table names with the end of the file."""
    disk = attempt(lambda: _disk(image))
    if isinstance(disk, Unreadable):
        return Header(FORMAT, image.size, 0, (Trouble(f"DiskFormat.{disk.code}", str(disk)),))
    return Header(FORMAT, image.size, disk.virtual, tuple(_troubles(image, disk)))


def open_disk(image: Image) -> BinaryIO:
    """Return the virtual disk."""
    disk, numbers = _disk(image), Numbers(image, width=8, order="little")

    def place(number: int) -> int | None:
        entry = numbers.at(disk.entry_at(number))
        return (entry >> 20) * _MIB if entry & 7 == _FULLY_PRESENT else None

    return as_file(BlockDisk(image, disk.virtual, disk.block, place))


def _disk(image: Image) -> _Disk:
    _judge_header(image)
    regions = dict(_regions(image))
    if _BAT not in regions or _METADATA not in regions:
        raise Unreadable("Malformed", "the VHDX file has no block table or no metadata")
    items = dict(_items(image, *regions[_METADATA]))
    try:
        block, flags = struct.unpack("<II", items[_FILE_PARAMETERS][:8])
        virtual, sector = struct.unpack("<Q", items[_VIRTUAL_SIZE][:8])[0], struct.unpack("<I", items[_LOGICAL_SECTOR][:4])[0]
    except (KeyError, struct.error):
        raise Unreadable("Malformed", "the VHDX metadata lacks size, block size or sector size") from None
    if not _MIB <= block <= 256 * _MIB or block & (block - 1) or sector not in (512, 4096):
        raise Unreadable("Malformed", f"VHDX blocks of {block} bytes, sectors of {sector}")
    return _Disk(virtual, block, sector, bool(flags & 2), *regions[_BAT])


def _judge_header(image: Image) -> None:
    """Find the current header, of two, and judge it (2.2)."""
    current = b""
    for at in (64 * _KIB, 128 * _KIB):
        header = image.read(at, 4 * _KIB)
        if header[:4] != b"head" or len(header) < 4 * _KIB or _checksum(header) != header[4:8]:
            continue
        if not current or header[8:16][::-1] > current[8:16][::-1]:
            current = header
    if not current:
        if image.size < 132 * _KIB:
            raise Unreadable("Truncated", "the VHDX headers are cut off")
        raise Unreadable("Malformed", "neither VHDX header has a right checksum")
    (version,) = struct.unpack("<H", current[66:68])
    if version != 1:
        raise Unreadable("UnknownVersion", f"VHDX version {version} is not known; 1 is")
    if any(current[48:64]):
        text = "the VHDX log was not replayed: the disk was not shut cleanly; open and close it (Mount-VHD), or convert it"
        raise Unreadable("NotClean", text)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", crc32c(data[:4] + bytes(4) + data[8:]))


def _regions(image: Image) -> Iterator[tuple[UUID, tuple[int, int]]]:
    """Yield the regions with offset and length (2.2.3)."""
    for at in (192 * _KIB, 256 * _KIB):
        table = image.read(at, 64 * _KIB)
        if len(table) == 64 * _KIB and table[:4] == b"regi" and _checksum(table) == table[4:8]:
            break
    else:
        code = "Truncated" if image.size < 320 * _KIB else "Malformed"
        raise Unreadable(code, "the VHDX region tables are cut off, or their checksums wrong")
    (count,) = struct.unpack("<I", table[8:12])
    if count > _ENTRIES_MAX:
        raise Unreadable("Malformed", f"{count} VHDX regions")
    for number in range(count):
        entry = table[16 + number * 32 : 48 + number * 32]
        name = UUID(bytes_le=entry[:16])
        offset, length, required = struct.unpack("<QII", entry[16:32])
        if name not in (_BAT, _METADATA):
            if required & 1:
                raise Unreadable("UnknownFeature", f"the VHDX region {name} is required and not known")
            continue
        if offset < _MIB or offset % _MIB:
            raise Unreadable("Malformed", f"a VHDX region at offset {offset}")
        if offset + length > image.size:
            raise Unreadable("Truncated", "a VHDX region lies beyond the end of the file; the upload may have been cut off")
        yield name, (offset, length)


def _items(image: Image, offset: int, length: int) -> Iterator[tuple[UUID, bytes]]:
    """Yield the metadata items with the first bytes of their values (2.6)."""
    table = image.read(offset, 64 * _KIB)
    if table[:8] != b"metadata" or len(table) < 64 * _KIB:
        raise Unreadable("Malformed", "the VHDX metadata has no signature")
    (count,) = struct.unpack("<H", table[10:12])
    if count > _ENTRIES_MAX:
        raise Unreadable("Malformed", f"{count} VHDX metadata items")
    for number in range(count):
        entry = table[32 + number * 32 : 64 + number * 32]
        name = UUID(bytes_le=entry[:16])
        value_at, _, flags = struct.unpack("<III", entry[16:28])
        if name in _KNOWN_ITEMS:
            if value_at + 8 > length:
                raise Unreadable("Malformed", "a VHDX metadata item lies outside its region")
            yield name, image.read(offset + value_at, 8)
        elif flags & 4:
            raise Unreadable("UnknownFeature", f"the VHDX metadata item {name} is required and not known")


def _troubles(image: Image, disk: _Disk) -> Iterator[Trouble]:
    if disk.has_parent:
        yield Trouble("DiskFormat.BackingFile", "the image holds only what differs from its parent; merge them into one")
    if disk.sector != 512:
        yield Trouble("DiskFormat.NotSupported", f"disks with sectors of {disk.sector} bytes are not read; 512 are")
    if disk.virtual > VIRTUAL_BYTES_MAX:
        yield Trouble("DiskFormat.TooLarge", f"a virtual size of {disk.virtual} bytes is over {VIRTUAL_BYTES_MAX}")
        return
    blocks = -(-disk.virtual // disk.block)
    count = blocks + max(0, blocks - 1) // disk.chunk_ratio
    if count * 8 > min(disk.table_bytes, TABLE_BYTES_MAX):
        yield Trouble("DiskFormat.Malformed", f"a VHDX block table of {disk.table_bytes} bytes does not cover the disk")
        return
    for page in Numbers(image, width=8, order="little").pages(disk.table_at, count):
        last = max((entry >> 20 for entry in page if entry & 7 >= _FULLY_PRESENT), default=0)
        if last and last * _MIB + disk.block > image.size:
            text = "blocks lie beyond the end of the file; the upload was cut off, or the table lies"
            yield Trouble("DiskFormat.Truncated", text)
            return
        if any(entry & 7 == _PARTIALLY_PRESENT for entry in page) and not disk.has_parent:
            yield Trouble("DiskFormat.Malformed", "a block is partially present, and there is no parent")
            return
