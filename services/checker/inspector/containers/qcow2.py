# SPDX-License-Identifier: AGPL-3.0-or-later
"""qcow2, versions 2 and 3, plain or compressed. Source: QEMU, docs/interop/qcow2.txt."""

import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from containers.header import TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble

FORMAT = "qcow2"
_KNOWN_INCOMPATIBLE = 0b11111
_DIRTY_OR_CORRUPT = 0b00011
_EXTERNAL_DATA_FILE = 1 << 2
_EXTENDED_L2 = 1 << 4
_OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62


def is_it(image: Image) -> bool:
    """Tell by the magic."""
    return image.head[:4] == b"QFI\xfb"


def look(image: Image) -> Header:
    """Judge the header, then compare every place its tables name with the end of the file."""
    header = _header(image.head, image.size)
    return header if header.troubles else replace(header, troubles=_places(image))


def open_disk(file: BinaryIO) -> BinaryIO:
    """Return the virtual disk."""
    from dissect.hypervisor.disk.qcow2 import QCow2  # a file object: given a path it would follow neighbouring files

    return QCow2(file).open()


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
        compressed_mask = (1 << (62 - (cluster_bits - 8))) - 1
        for one in table:
            if one and (one & compressed_mask if one & _COMPRESSED else one & _OFFSET_MASK) >= size:
                return cut
    return ()


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
