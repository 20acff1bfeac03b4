# SPDX-License-Identifier: AGPL-3.0-or-later
"""VHD, fixed or dynamic. Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0."""

import struct
from typing import BinaryIO

from containers.blocks import BlockDisk, Numbers, as_file
from containers.header import SECTOR, TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble

FORMAT = "vhd"
_COOKIE = b"conectix"
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_NOWHERE = 0xFFFFFFFF
_DYNAMIC_HEADER_BYTES = 1024


def is_it(image: Image) -> bool:
    """Tell by the cookie: a fixed one is a raw disk with a footer, a dynamic one has a copy of it in front."""
    return image.head[:8] == _COOKIE or (image.size >= SECTOR and _footer(image)[:8] == _COOKIE)


def look(image: Image) -> Header:
    """Judge footer and header, then compare every block that the table names with the end of the file."""
    footer = _footer(image)
    if footer[:8] != _COOKIE or len(footer) < SECTOR:
        text = "the VHD footer is missing at the end; the upload may have been cut off"
        return Header(FORMAT, image.size, 0, (Trouble("DiskFormat.Truncated", text),))
    virtual, kind = struct.unpack(">Q", footer[48:56])[0], struct.unpack(">I", footer[60:64])[0]
    troubles = []
    if _checksum(footer, 64) != footer[64:68]:
        troubles.append(Trouble("DiskFormat.Malformed", "the checksum of the VHD footer is wrong"))
    if kind == _DIFFERENCING:
        text = "the image holds only what differs from its parent; merge them into one"
        troubles.append(Trouble("DiskFormat.BackingFile", text))
    elif kind not in (_FIXED, _DYNAMIC):
        troubles.append(Trouble("DiskFormat.Malformed", f"VHD disk type {kind} is not known; 2 (fixed) and 3 (dynamic) are"))
    if virtual > VIRTUAL_BYTES_MAX:
        troubles.append(Trouble("DiskFormat.TooLarge", f"a virtual size of {virtual} bytes is over {VIRTUAL_BYTES_MAX}"))
    elif kind == _FIXED and virtual > image.size - SECTOR:
        troubles.append(Trouble("DiskFormat.Truncated", "the file is smaller than its footer says; the upload was cut off"))
    if kind == _DYNAMIC and not troubles:
        troubles = _dynamic_troubles(image, footer, virtual)
    return Header(FORMAT, image.size, virtual, tuple(troubles))


def open_disk(image: Image) -> BinaryIO:
    """Return the virtual disk."""
    footer = _footer(image)
    (virtual,) = struct.unpack(">Q", footer[48:56])
    if struct.unpack(">I", footer[60:64])[0] == _FIXED:
        return as_file(BlockDisk(image, virtual, max(virtual, 1), lambda _: 0))
    table_at, _, block = _table(image.read(struct.unpack(">Q", footer[16:24])[0], _DYNAMIC_HEADER_BYTES))
    numbers, bitmap = Numbers(image, width=4, order="big"), _bitmap_bytes(block)

    def place(number: int) -> int | None:
        entry = numbers.at(table_at + number * 4)
        return None if entry == _NOWHERE else entry * SECTOR + bitmap

    return as_file(BlockDisk(image, virtual, block, place))


def _footer(image: Image) -> bytes:
    return image.read(max(0, image.size - SECTOR), SECTOR)


def _checksum(data: bytes, at: int) -> bytes:
    """Return the one's complement of the sum of all bytes but the four of the checksum itself."""
    return struct.pack(">I", ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF)


def _table(header: bytes) -> tuple[int, int, int]:
    """Return the table's offset, its number of entries, the size of a block."""
    return struct.unpack(">Q4xII", header[16:36])


def _bitmap_bytes(block: int) -> int:
    """Return the length of the bitmap of sectors before each block, whole sectors."""
    return -(-(block // SECTOR) // 8 // SECTOR) * SECTOR


def _dynamic_troubles(image: Image, footer: bytes, virtual: int) -> list[Trouble]:
    header_at = struct.unpack(">Q", footer[16:24])[0]
    header = image.read(header_at, _DYNAMIC_HEADER_BYTES)
    if len(header) < _DYNAMIC_HEADER_BYTES:
        return [Trouble("DiskFormat.Truncated", "the VHD header lies beyond the end of the file")]
    if header[:8] != b"cxsparse" or _checksum(header, 36) != header[36:40]:
        return [Trouble("DiskFormat.Malformed", "the VHD header has another cookie, or a wrong checksum")]
    table_at, entries, block = _table(header)
    if not 4096 <= block <= 1 << 28 or block & (block - 1) or table_at % SECTOR or entries * 4 > TABLE_BYTES_MAX:
        text = f"the VHD header names {entries} blocks of {block} bytes, their table at {table_at}"
        return [Trouble("DiskFormat.Malformed", text)]
    if entries * block < virtual:
        return [Trouble("DiskFormat.Malformed", f"{entries} blocks do not cover the disk")]
    if any(header[40:56]):
        return [Trouble("DiskFormat.BackingFile", "the VHD header names a parent; merge them into one")]
    return _places(image, table_at, -(-virtual // block), block)


def _places(image: Image, table_at: int, count: int, block: int) -> list[Trouble]:
    seen, length = 0, _bitmap_bytes(block) + block
    for page in Numbers(image, width=4, order="big").pages(table_at, count):
        seen += len(page)
        last = max((entry for entry in page if entry != _NOWHERE), default=0)
        if last and last * SECTOR + length > image.size:
            break
    else:
        if seen == count:
            return []
    return [Trouble("DiskFormat.Truncated", "blocks lie beyond the end of the file; the upload was cut off, or the table lies")]
