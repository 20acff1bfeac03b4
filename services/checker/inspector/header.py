# SPDX-License-Identifier: AGPL-3.0-or-later
"""A bounded look at the head of a disk image, before any parser runs.

Sources: QEMU, docs/interop/qcow2.txt; VMDK 5.0 technical note; [MS-VHDX] 2.1; the VHD specification 1.0; VirtualBox VDICore.h;
cryptsetup's LUKS on-disk formats; ECMA-119 8.
"""

import os
import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

HEAD_BYTES = 64 * 1024
VIRTUAL_BYTES_MAX = 64 * 2**40
TABLE_BYTES_MAX = 256 * 2**20
SECTOR = 512
LUKS_MAGICS = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
_QCOW2_KNOWN_INCOMPATIBLE = 0b11111
_DIRTY_OR_CORRUPT = 0b00011
_EXTERNAL_DATA_FILE = 1 << 2
_EXTENDED_L2 = 1 << 4
_OFFSET_MASK = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
    (0x8001, b"CD001", "iso"),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in the header that keeps an image from being accepted, or read at all."""

    code: str
    text: str
    readable: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of the file says: format, sizes in bytes, troubles, whether the container itself is encrypted."""

    format: str
    size_bytes: int
    virtual_size_bytes: int
    troubles: tuple[Trouble, ...] = ()
    encrypted: bool = False


def look(descriptor: int, stated_format: str | None) -> Header:
    """Read the head of the open file and judge it. Reads at most 64 KiB and the tables' places, never the tables."""
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, HEAD_BYTES, 0)
    kind = _kind(head, size, descriptor)
    if kind == "qcow2":
        header = _qcow2(head, size)
        if not header.troubles:
            header = replace(header, troubles=_qcow2_places(descriptor, head, size))
    elif kind == "raw":
        troubles = (Trouble("DiskFormat.PartialSector", "the file is no whole number of 512-byte sectors", readable=True),)
        header = Header("raw", size, size, troubles if size % SECTOR and size >= SECTOR else ())
    else:
        text = f"{kind} images are not read yet; convert it to raw or qcow2 (qemu-img convert -O qcow2)"
        header = Header(kind, size, size, (Trouble("DiskFormat.NotSupported", text),))
    if stated_format is not None and stated_format != header.format:
        text = f"stated to be {stated_format}, found to be {header.format}; register the image with the format it has"
        troubles = (Trouble("DiskFormat.OtherThanStated", text), *header.troubles)
        return Header(header.format, size, header.virtual_size_bytes, troubles, header.encrypted)
    return header


def _kind(head: bytes, size: int, descriptor: int) -> str:
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return name
    # A fixed VHD is a raw disk with a footer.
    if size >= SECTOR and os.pread(descriptor, 8, size - SECTOR) == b"conectix":
        return "vhd"
    return "raw"


def _qcow2(head: bytes, size: int) -> Header:
    if len(head) < 72:
        return Header("qcow2", size, 0, (Trouble("DiskFormat.Truncated", "the qcow2 header is cut off"),))
    version, backing_offset, _, cluster_bits, virtual, crypt = struct.unpack(">IQIIQI", head[4:36])
    troubles: list[Trouble] = []

    def trouble(code: str, text: str) -> None:
        troubles.append(Trouble(f"DiskFormat.{code}", text))

    if version not in (2, 3):
        trouble("UnknownVersion", f"qcow2 version {version} is not known; 2 and 3 are")
        return Header("qcow2", size, 0, tuple(troubles))
    if not 9 <= cluster_bits <= 21:
        trouble("Malformed", f"cluster_bits {cluster_bits} is outside 9 to 21")
        return Header("qcow2", size, 0, tuple(troubles))
    if backing_offset:
        trouble("BackingFile", "the image stands on a backing file; flatten it (qemu-img convert -O qcow2)")
    if virtual > VIRTUAL_BYTES_MAX:
        trouble("TooLarge", f"a virtual size of {virtual} bytes is over {VIRTUAL_BYTES_MAX}")
    _qcow2_tables(head, size, trouble)
    if version == 3:
        _qcow2_v3(head, trouble)
    return Header("qcow2", size, virtual, tuple(troubles), encrypted=crypt != 0)


def _qcow2_tables(head: bytes, size: int, trouble: Callable[[str, str], None]) -> None:
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


def _qcow2_places(descriptor: int, head: bytes, size: int) -> tuple[Trouble, ...]:
    """Compare every place that the L1 and L2 tables name with the file's end: a cut-off file reads short without an error."""
    cluster_bits, l1_size, l1_offset = struct.unpack(">I", head[20:24])[0], *struct.unpack(">IQ", head[36:48])
    cut = (Trouble("DiskFormat.Truncated", "clusters lie beyond the end of the file; the upload was cut off, or the tables lie"),)
    budget = TABLE_BYTES_MAX
    for entry in _table(descriptor, l1_offset, l1_size * 8):
        l2_offset = entry & _OFFSET_MASK
        if not l2_offset:
            continue
        budget -= 1 << cluster_bits
        if l2_offset + (1 << cluster_bits) > size:
            return cut
        if budget < 0:
            return (Trouble("DiskFormat.TooManyTables", f"more than {TABLE_BYTES_MAX} bytes of L2 tables"),)
        table = _table(descriptor, l2_offset, 1 << cluster_bits)
        compressed_mask = (1 << (62 - (cluster_bits - 8))) - 1
        for one in table:
            if one and (one & compressed_mask if one & _COMPRESSED else one & _OFFSET_MASK) >= size:
                return cut
    return ()


def _table(descriptor: int, offset: int, length: int) -> "array[int]":
    entries = array("Q", os.pread(descriptor, length, offset)[: length // 8 * 8])
    if sys.byteorder == "little":
        entries.byteswap()
    return entries


def _qcow2_v3(head: bytes, trouble: Callable[[str, str], None]) -> None:
    if len(head) < 104:
        trouble("Truncated", "the qcow2 header is cut off")
        return
    incompatible, _, _, refcount_order, header_length = struct.unpack(">QQQII", head[72:104])
    if incompatible & _EXTERNAL_DATA_FILE:
        trouble("ExternalDataFile", "the data lies in another file; make one file of it (qemu-img convert -O qcow2)")
    if incompatible & _EXTENDED_L2:
        trouble("ExtendedL2", "extended L2 entries are not read; convert it without extended_l2")
    if incompatible & ~_QCOW2_KNOWN_INCOMPATIBLE:
        trouble("UnknownFeature", f"incompatible features {incompatible:#x} are not known")
    if incompatible & _DIRTY_OR_CORRUPT:
        trouble("NotClean", "the image is marked dirty or corrupt; repair it (qemu-img check -r all)")
    if refcount_order > 6 or not 104 <= header_length <= 4096 or header_length % 8:
        trouble("Malformed", "refcount_order or header_length make no sense")
