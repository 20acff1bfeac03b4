# SPDX-License-Identifier: AGPL-3.0-or-later
"""VMDK: monolithic sparse and stream-optimised. Source: VMware, Virtual Disk Format 5.0.

A disk of several files is refused: a descriptor names neighbours, which a stranger must not choose.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from isal import isal_zlib

from containers.blocks import BlockDisk, Numbers, Packed, as_file
from containers.header import SECTOR, TABLE_BYTES_MAX, VIRTUAL_BYTES_MAX, Header, Image, Trouble
from findings import Unreadable

FORMAT = "vmdk"
_SPARSE, _COWD, _SE_SPARSE, _DESCRIPTOR = b"KDMV", b"COWD", b"\xbe\xba\xfe\xca", b"# Disk DescriptorFile"
_COMPRESSED, _MARKERS = 1 << 16, 1 << 17
_AT_THE_END = 0xFFFF_FFFF_FFFF_FFFF
_TABLE_ENTRIES_MAX = 512
_DESCRIPTOR_BYTES_MAX = 64 * 1024
_MARKER_BYTES = 12
_ALL_ZERO = 1


@dataclass(frozen=True, slots=True)
class _Extent:
    """The header of a sparse extent, offsets and sizes in sectors."""

    version: int
    flags: int
    capacity: int
    grain: int
    descriptor_at: int
    descriptor_size: int
    entries: int
    directory_at: int

    @property
    def directory_entries(self) -> int:
        """The number of grain tables."""
        return -(-self.capacity // (self.entries * self.grain))


def is_it(image: Image) -> bool:
    """Tell by the magic of an extent or of a descriptor."""
    return image.head.startswith((_SPARSE, _COWD, _SE_SPARSE)) or image.head[:512].lstrip().startswith(_DESCRIPTOR)


def look(image: Image) -> Header:
    """Judge header and descriptor, then compare every grain that the tables name with the end of the file."""
    if image.head[:4] != _SPARSE:
        return Header(FORMAT, image.size, 0, (_not_one_file(image),))
    extent = _extent(image)
    if extent is None:
        text = "the VMDK header or its footer is cut off"
        return Header(FORMAT, image.size, 0, (Trouble("DiskFormat.Truncated", text),))
    troubles = list(_header_troubles(extent))
    if not troubles:
        descriptor = _descriptor(image, extent)
        troubles = [*_descriptor_troubles(descriptor), *_places(image, extent)]
        encrypted = b"encryption.keysafe" in descriptor.lower()
        return Header(FORMAT, image.size, extent.capacity * SECTOR, tuple(troubles), encrypted=encrypted)
    return Header(FORMAT, image.size, min(extent.capacity * SECTOR, 2**63 - 1), tuple(troubles))


def open_disk(image: Image) -> BinaryIO:
    """Return the virtual disk."""
    extent = _extent(image)
    if extent is None:
        raise Unreadable("Truncated", "the VMDK header is cut off")
    numbers, block = Numbers(image, width=4, order="little"), extent.grain * SECTOR
    directory_at, entries, is_packed = extent.directory_at * SECTOR, extent.entries, bool(extent.flags & _COMPRESSED)

    def place(number: int) -> int | Packed | None:
        table, within = divmod(number, entries)
        table_at = numbers.at(directory_at + table * 4) * SECTOR
        grain_at = numbers.at(table_at + within * 4) if table_at else 0
        if grain_at <= _ALL_ZERO:
            return None
        return Packed(grain_at * SECTOR, block) if is_packed else grain_at * SECTOR

    return as_file(BlockDisk(image, extent.capacity * SECTOR, block, place, lambda packed: _inflate(image, extent, packed)))


def _inflate(image: Image, extent: _Extent, packed: Packed) -> bytes:
    """Return a compressed grain: a marker (or only the length), then a zlib stream (page 14)."""
    marker = image.read(packed.offset, _MARKER_BYTES)
    at = 8 if extent.flags & _MARKERS else 0
    if len(marker) < _MARKER_BYTES:
        raise Unreadable("Truncated", "a compressed grain is cut off")
    (length,) = struct.unpack("<I", marker[at : at + 4])
    # What does not shrink is stored with a few bytes more than a grain has.
    data = image.read(packed.offset + at + 4, min(length, packed.length * 2))
    wanted = packed.length
    grain = isal_zlib.decompressobj().decompress(data, wanted)
    if len(grain) != wanted:
        raise Unreadable("Malformed", f"a compressed grain of {len(grain)} bytes where {wanted} are due")
    return grain


def _not_one_file(image: Image) -> Trouble:
    if image.head[:4] in (_COWD, _SE_SPARSE):
        return Trouble("DiskFormat.NotSupported", "COWD and SESparse extents are not read; export the disk as one VMDK or OVA")
    if b"parentfilenamehint" in image.head.lower():
        return Trouble("DiskFormat.BackingFile", "the descriptor names a parent disk; clone it into one file (vmkfstools -i)")
    return Trouble(
        "DiskFormat.ExternalDataFile", "a descriptor whose data lie in other files; make one file of it (qemu-img convert)"
    )


def _extent(image: Image) -> _Extent | None:
    found = _parse(image.head[:SECTOR])
    if found is not None and found.directory_at == _AT_THE_END:
        # Stream-optimised: a copy of the header with the right place stands before the end-of-stream marker.
        found = _parse(image.read(image.size - 2 * SECTOR, SECTOR))
        return found if found is not None and found.directory_at != _AT_THE_END else None
    return found


def _parse(sector: bytes) -> _Extent | None:
    if len(sector) < SECTOR or sector[:4] != _SPARSE:
        return None
    version, flags, capacity, grain, descriptor_at, descriptor_size, entries = struct.unpack("<IIQQQQI", sector[4:48])
    return _Extent(
        version, flags, capacity, grain, descriptor_at, descriptor_size, entries, struct.unpack("<Q", sector[56:64])[0]
    )


def _header_troubles(extent: _Extent) -> Iterator[Trouble]:
    if not 1 <= extent.version <= 3:
        yield Trouble("DiskFormat.UnknownVersion", f"VMDK version {extent.version} is not known; 1 to 3 are")
    if extent.capacity * SECTOR > VIRTUAL_BYTES_MAX:
        yield Trouble("DiskFormat.TooLarge", f"a capacity of {extent.capacity} sectors is over {VIRTUAL_BYTES_MAX} bytes")
    if not 1 <= extent.grain <= 2048 or extent.grain & (extent.grain - 1) or not 1 <= extent.entries <= _TABLE_ENTRIES_MAX:
        text = f"the VMDK header names grains of {extent.grain} sectors, tables of {extent.entries}"
        yield Trouble("DiskFormat.Malformed", text)
    elif extent.directory_entries * 4 > TABLE_BYTES_MAX:
        yield Trouble("DiskFormat.Malformed", f"a grain directory of {extent.directory_entries} entries is too large")
    if extent.flags & _COMPRESSED and not extent.flags & _MARKERS:
        yield Trouble("DiskFormat.UnknownFeature", "compressed grains without markers")


def _descriptor(image: Image, extent: _Extent) -> bytes:
    length = min(extent.descriptor_size * SECTOR, _DESCRIPTOR_BYTES_MAX)
    return image.read(min(extent.descriptor_at, 2**53) * SECTOR, length).split(b"\0")[0]


def _descriptor_troubles(descriptor: bytes) -> Iterator[Trouble]:
    """Judge the text that says which files the disk is made of (page 3)."""
    lines = [line.strip() for line in descriptor.decode("utf-8", "replace").splitlines()]
    settings = {
        name.strip().lower(): value.strip().strip('"').lower()
        for name, _, value in (line.partition("=") for line in lines)
        if name
    }
    extents = [line.split() for line in lines if line.startswith(("RW ", "RDONLY ", "NOACCESS "))]
    if settings.get("parentcid", "ffffffff") != "ffffffff" or "parentfilenamehint" in settings:
        yield Trouble("DiskFormat.BackingFile", "the descriptor names a parent disk; clone it into one file (qemu-img convert)")
    elif (
        settings.get("createtype") not in ("monolithicsparse", "streamoptimized")
        or len(extents) != 1
        or extents[0][2:3] != ["SPARSE"]
    ):
        text = (
            "the VMDK is no disk of one sparse extent (monolithicSparse, streamOptimized); make one file of it (qemu-img convert)"
        )
        yield Trouble("DiskFormat.ExternalDataFile", text)


def _places(image: Image, extent: _Extent) -> Iterator[Trouble]:
    numbers, budget = Numbers(image, width=4, order="little"), TABLE_BYTES_MAX
    cut = Trouble("DiskFormat.Truncated", "grains lie beyond the end of the file; the upload was cut off, or the tables lie")
    left, last = extent.directory_entries, 0
    for page in numbers.pages(extent.directory_at * SECTOR, left):
        left -= len(page)
        for table_at in filter(None, page):
            budget -= extent.entries * 4
            if budget < 0:
                yield Trouble("DiskFormat.TooManyTables", f"more than {TABLE_BYTES_MAX} bytes of grain tables")
                return
            grains = [one for part in numbers.pages(table_at * SECTOR, extent.entries) for one in part]
            if len(grains) < extent.entries:
                yield cut
                return
            last = max(last, *grains)
    if left or (last > _ALL_ZERO and _end(image, extent, last * SECTOR) > image.size):
        yield cut


def _end(image: Image, extent: _Extent, at: int) -> int:
    """Return where the grain at offset `at` ends."""
    if not extent.flags & _COMPRESSED:
        return at + (extent.capacity % extent.grain or extent.grain) * SECTOR
    marker = image.read(at, _MARKER_BYTES)
    return at + _MARKER_BYTES + (struct.unpack("<I", marker[8:12])[0] if len(marker) == _MARKER_BYTES else 0)
