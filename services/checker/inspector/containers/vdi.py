# SPDX-License-Identifier: AGPL-3.0-or-later
"""VDI, VirtualBox's own, dynamic or fixed. Source: VirtualBox, src/VBox/Storage/VDICore.h."""

import struct
from typing import BinaryIO

from containers.blocks import BlockDisk, Numbers, as_file
from containers.header import TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble

FORMAT = "vdi"
_SIGNATURE_AT = 64
_HEADER_BYTES = 512
_DYNAMIC, _FIXED, _UNDO, _DIFFERENCING = 1, 2, 3, 4
_ALL_ZERO = 0xFFFFFFFE
"""An entry of the block map from this on has nothing in the file: all zero, or free."""


def is_it(image: Image) -> bool:
    """Tell by the signature."""
    return image.head[_SIGNATURE_AT : _SIGNATURE_AT + 4] == b"\x7f\x10\xda\xbe"


def look(image: Image) -> Header:
    """Judge the header, then compare every block that the map names with the end of the file."""
    head, size = image.head, image.size
    if len(head) < _HEADER_BYTES:
        return Header(FORMAT, size, 0, (Trouble("DiskFormat.Truncated", "the VDI header is cut off"),))
    version, _, kind = struct.unpack("<III", head[68:80])
    map_at, data_at, virtual, block, extra, blocks = _numbers(head)
    if version >> 16 != 1:
        return Header(FORMAT, size, 0, (Trouble("DiskFormat.UnknownVersion", f"VDI version {version >> 16} is not known; 1 is"),))
    if kind in (_UNDO, _DIFFERENCING) or any(head[424:456]):
        text = "the image holds only what differs from its parent; make one file of it (VBoxManage clonemedium)"
        return Header(FORMAT, size, virtual, (Trouble("DiskFormat.BackingFile", text),))
    malformed = (
        (kind not in (_DYNAMIC, _FIXED), f"image type {kind}"),
        (not 4096 <= block <= 1 << 26 or block & (block - 1), f"blocks of {block} bytes"),
        (extra != 0, f"{extra} extra bytes before each block"),
        (blocks * 4 > TABLE_BYTES_MAX, f"a map of {blocks} blocks"),
        (blocks * block < virtual, f"{blocks} blocks, which do not cover the disk"),
        (map_at < _HEADER_BYTES or map_at % 4 or data_at < map_at + blocks * 4, "places that are none for map and data"),
    )
    troubles = [Trouble("DiskFormat.Malformed", f"the VDI header names {text}") for wrong, text in malformed if wrong]
    if virtual > VIRTUAL_BYTES_MAX:
        troubles.insert(0, Trouble("DiskFormat.TooLarge", f"a virtual size of {virtual} bytes is over {VIRTUAL_BYTES_MAX}"))
    return Header(FORMAT, size, virtual, tuple(troubles) or _places(image))


def open_disk(image: Image) -> BinaryIO:
    """Return the virtual disk."""
    map_at, data_at, virtual, block, _, _ = _numbers(image.head)
    numbers = Numbers(image, width=4, order="little")

    def place(number: int) -> int | None:
        entry = numbers.at(map_at + number * 4)
        return None if entry >= _ALL_ZERO else data_at + entry * block

    return as_file(BlockDisk(image, virtual, block, place))


def _numbers(head: bytes) -> tuple[int, int, int, int, int, int]:
    """Return the offsets of map and data, the sizes of disk and block, what precedes each block, and the number of blocks."""
    map_at, data_at = struct.unpack("<II", head[340:348])
    virtual, block, extra, blocks = struct.unpack("<QIII", head[368:388])
    return map_at, data_at, virtual, block, extra, blocks


def _places(image: Image) -> tuple[Trouble, ...]:
    map_at, data_at, _, block, _, blocks = _numbers(image.head)
    numbers = Numbers(image, width=4, order="little")
    seen = 0
    for page in numbers.pages(map_at, blocks):
        seen += len(page)
        last = max((entry for entry in page if entry < _ALL_ZERO), default=-1)
        if data_at + (last + 1) * block > image.size:
            break
    else:
        if seen == blocks:
            return ()
    return (Trouble("DiskFormat.Truncated", "blocks lie beyond the end of the file; the upload was cut off, or the map lies"),)
