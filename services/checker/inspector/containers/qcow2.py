# SPDX-License-Identifier: AGPL-3.0-or-later
"""qcow2, versions 2 and 3, plain or compressed (zlib, zstd). Source: QEMU, docs/interop/qcow2.txt."""

import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from isal import isal_zlib

from containers.blocks import BlockDisk, Numbers, Packed, as_file
from containers.header import SECTOR, TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble
from findings import Unreadable

FORMAT = "qcow2"
_KNOWN_INCOMPATIBLE = 0b11111
_DIRTY_OR_CORRUPT = 0b00011
_EXTERNAL_DATA_FILE = 1 << 2
_EXTENDED_L2 = 1 << 4
_OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ALL_ZERO = 1
_COMPRESSION_TYPE_AT = 104
_ZSTD_WINDOW_LOG_MAX = 22


def is_it(image: Image) -> bool:
    """Tell by the magic."""
    return image.head[:4] == b"QFI\xfb"


def look(image: Image) -> Header:
    """Judge the header, then compare every place its tables name with the end of the file."""
    header = _header(image.head, image.size)
    return header if header.troubles else replace(header, troubles=_places(image))


def open_disk(image: Image) -> BinaryIO:
    """Return the virtual disk."""
    cluster_bits, size, _, _, l1_offset = struct.unpack(">IQIIQ", image.head[20:48])
    cluster = 1 << cluster_bits
    numbers = Numbers(image, width=8, order="big")
    offset_bits = 62 - (cluster_bits - 8)

    def place(number: int) -> int | Packed | None:
        l1_index, l2_index = divmod(number, cluster // 8)
        table = numbers.at(l1_offset + l1_index * 8) & _OFFSET_MASK
        entry = numbers.at(table + l2_index * 8) if table else 0
        if entry & _COMPRESSED:
            offset = entry & ((1 << offset_bits) - 1)
            sectors = ((entry & (_COMPRESSED - 1)) >> offset_bits) + 1
            return Packed(offset, sectors * SECTOR - offset % SECTOR)
        return None if entry & _ALL_ZERO else entry & _OFFSET_MASK or None

    inflate = _inflate_zstd if _compression(image.head) else _inflate_zlib
    return as_file(
        BlockDisk(image, size, cluster, place, lambda packed: inflate(image.read(packed.offset, packed.length), cluster))
    )


def _compression(head: bytes) -> int:
    """Return the compression type: 0 is zlib, 1 zstd."""
    version, length = struct.unpack(">I", head[4:8])[0], struct.unpack(">I", head[100:104])[0]
    return head[_COMPRESSION_TYPE_AT] if version == 3 and length > _COMPRESSION_TYPE_AT else 0


def _inflate_zlib(data: bytes, cluster: int) -> bytes:
    return _whole(isal_zlib.decompressobj(-12).decompress(data, cluster), cluster)


def _inflate_zstd(data: bytes, cluster: int) -> bytes:
    from backports.zstd import DecompressionParameter, ZstdDecompressor

    unpacker = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
    return _whole(unpacker.decompress(data, cluster), cluster)


def _whole(data: bytes, cluster: int) -> bytes:
    if len(data) != cluster:
        raise Unreadable("Malformed", f"a compressed cluster of {len(data)} bytes where {cluster} are due")
    return data


def _header(head: bytes, size: int) -> Header:
    if len(head) < 72:
        return Header(FORMAT, size, 0, (Trouble("DiskFormat.Truncated", "the qcow2 header is cut off"),))
    version, backing_offset, _, cluster_bits, virtual, crypt = struct.unpack(">IQIIQI", head[4:36])
    troubles: list[Trouble] = []

    def trouble(code: str, text: str) -> None:
        troubles.append(Trouble(f"DiskFormat.{code}", text))

    if version not in (2, 3):
        trouble("UnknownVersion", f"qcow2 version {version} is not known; 2 and 3 are")
        return Header(FORMAT, size, 0, tuple(troubles))
    if not 9 <= cluster_bits <= 21:
        trouble("Malformed", f"cluster_bits {cluster_bits} is outside 9 to 21")
        return Header(FORMAT, size, 0, tuple(troubles))
    if backing_offset:
        trouble("BackingFile", "the image stands on a backing file; flatten it (qemu-img convert -O qcow2)")
    if virtual > VIRTUAL_BYTES_MAX:
        trouble("TooLarge", f"a virtual size of {virtual} bytes is over {VIRTUAL_BYTES_MAX}")
    _tables(head, size, trouble)
    if version == 3:
        _version_3(head, trouble)
    return Header(FORMAT, size, virtual, tuple(troubles), encrypted=crypt != 0)


def _tables(head: bytes, size: int, trouble: Callable[[str, str], None]) -> None:
    cluster_bits, virtual, _, l1_size, l1_offset, refcount_offset, refcount_clusters = struct.unpack(">IQIIQQI", head[20:60])
    cluster = 1 << cluster_bits
    entries_needed = -(-virtual // (cluster * (cluster // 8)))
    if l1_size * 8 > TABLE_BYTES_MAX:
        trouble("Malformed", f"an L1 table of {l1_size} entries is too large")
    elif l1_size < entries_needed:
        trouble("Malformed", f"an L1 table of {l1_size} entries does not cover the disk")
    for what, offset, length in (
        ("L1 table", l1_offset, l1_size * 8),
        ("refcount table", refcount_offset, refcount_clusters * cluster),
    ):
        if offset % cluster or (length and offset < cluster):
            trouble("Malformed", f"the {what} is at offset {offset}, which is no place for it")
        elif offset + length > size:
            trouble("Truncated", f"the {what} reaches beyond the end of the file; the upload may have been cut off")


def _places(image: Image) -> tuple[Trouble, ...]:
    """Compare every place that the L1 and L2 tables name with the file's end: a cut-off file reads short without an error."""
    head, size = image.head, image.size
    cluster_bits, l1_size, l1_offset = struct.unpack(">I", head[20:24])[0], *struct.unpack(">IQ", head[36:48])
    cut = (Trouble("DiskFormat.Truncated", "clusters lie beyond the end of the file; the upload was cut off, or the tables lie"),)
    budget = TABLE_BYTES_MAX
    # The disk's last cluster may be cut where the disk ends.
    last_bytes = struct.unpack(">Q", head[24:32])[0] % (1 << cluster_bits) or 1 << cluster_bits
    for entry in _table(image, l1_offset, l1_size * 8):
        l2_offset = entry & _OFFSET_MASK
        if not l2_offset:
            continue
        budget -= 1 << cluster_bits
        if l2_offset + (1 << cluster_bits) > size:
            return cut
        if budget < 0:
            return (Trouble("DiskFormat.TooManyTables", f"more than {TABLE_BYTES_MAX} bytes of L2 tables"),)
        table = _table(image, l2_offset, 1 << cluster_bits)
        if any(one and _end(one, cluster_bits, last_bytes) > size for one in table):
            return cut
    return ()


def _end(entry: int, cluster_bits: int, last_bytes: int) -> int:
    """Return where in the file the cluster of an L2 entry ends at the least."""
    if entry & _COMPRESSED:
        return (entry & ((1 << (62 - (cluster_bits - 8))) - 1)) + 1
    offset = entry & _OFFSET_MASK
    return offset + last_bytes if offset and not entry & _ALL_ZERO else 0


def _table(image: Image, offset: int, length: int) -> "array[int]":
    entries = array("Q", image.read(offset, length)[: length // 8 * 8])
    if sys.byteorder == "little":
        entries.byteswap()
    return entries


def _version_3(head: bytes, trouble: Callable[[str, str], None]) -> None:
    if len(head) < 104:
        trouble("Truncated", "the qcow2 header is cut off")
        return
    incompatible, _, _, refcount_order, header_length = struct.unpack(">QQQII", head[72:104])
    if incompatible & _EXTERNAL_DATA_FILE:
        trouble("ExternalDataFile", "the data lies in another file; make one file of it (qemu-img convert -O qcow2)")
    if incompatible & _EXTENDED_L2:
        trouble("ExtendedL2", "extended L2 entries are not read; convert it without extended_l2")
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        trouble("UnknownFeature", f"incompatible features {incompatible:#x} are not known")
    if incompatible & _DIRTY_OR_CORRUPT:
        trouble("NotClean", "the image is marked dirty or corrupt; repair it (qemu-img check -r all)")
    if refcount_order > 6 or not 104 <= header_length <= 4096 or header_length % 8:
        trouble("Malformed", "refcount_order or header_length make no sense")
    elif header_length > len(head):
        trouble("Truncated", "the qcow2 header is cut off")
    elif _compression(head) > 1:
        trouble("UnknownFeature", f"compression type {_compression(head)} is not known; 0 (zlib) and 1 (zstd) are")
