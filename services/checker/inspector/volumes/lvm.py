# SPDX-License-Identifier: AGPL-3.0-or-later
"""LVM2: linear logical volumes on one or more physical volumes of one image.

Sources: LVM2, lib/format_text/layout.h and libdm/config (the text); dmsetup(8) (names under /dev/mapper). Our own: dissect.volume
evaluates the text as Python literals and believes its numbers.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from containers.header import SECTOR
from findings import Unreadable, attempt
from part import JoinedPart, Part
from volumes.lvm_text import parse
from volumes.volume import Partition

METADATA_BYTES_MAX = 4 * 2**20
VOLUMES_MAX = 256
SEGMENTS_MAX = 4096
_LABEL_SECTORS = 4
_INITIAL_CRC = 0xF597A6CF
_AREAS_MAX = 16


@dataclass(frozen=True, slots=True)
class PhysicalVolume:
    """A partition that belongs to a volume group: its id, without dashes, and its copy of the group's metadata, if it has one."""

    part: Part
    id: str
    group: dict[str, Any] | None
    group_name: str = ""


def is_it(part: Part) -> bool:
    """Tell by the label."""
    return _label(part) is not None


def physical_volume(part: Part) -> PhysicalVolume:
    """Read label, header and metadata; raises `Unreadable` where they make no sense."""
    label = _label(part) or b""
    (header_at,) = struct.unpack("<I", label[20:24])
    header = label[header_at:]
    if not 32 <= header_at <= SECTOR - 40 or _crc(label[20:]) != struct.unpack("<I", label[16:20])[0]:
        raise Unreadable("LvmDamaged", "the label of a physical volume is damaged")
    own_id = header[:32].decode("ascii", "replace")
    for offset, size in _metadata_areas(header[40:]):
        text = _metadata(part, offset, size)
        if text is not None:
            name, group = _group(parse(text))
            return PhysicalVolume(part, own_id, group, name)
    return PhysicalVolume(part, own_id, None)


def logical_volumes(found: list[PhysicalVolume]) -> Iterator[tuple[Partition, JoinedPart | Unreadable]]:
    """Yield the visible logical volumes of all groups, in place of what cannot be read why not."""
    newest: dict[str, PhysicalVolume] = {}
    for one in found:
        if one.group is not None:
            group_id = _text(one.group, "id")
            if group_id not in newest or _number(one.group, "seqno") > _number(newest[group_id].group or {}, "seqno"):
                newest[group_id] = one
    parts = {one.id: one.part for one in found}
    for one in newest.values():
        group = one.group or {}
        volumes = [
            (name, volume)
            for name, volume in _section(group, "logical_volumes").items()
            if isinstance(volume, dict) and "VISIBLE" in volume.get("status", ())
        ]
        for name, volume in volumes[:VOLUMES_MAX]:
            pieces = attempt(lambda group=group, volume=volume: list(_pieces(group, volume, parts)))  # type: ignore[misc]
            part = pieces if isinstance(pieces, Unreadable) else JoinedPart(pieces)
            size = part.size if isinstance(part, JoinedPart) else 0
            yield Partition(0, 0, size, mapper=mapper_name(one.group_name, name)), part


def mapper_name(group: str, volume: str) -> str:
    """Return the name under /dev/mapper: a dash parts the names, so that dashes in them are doubled."""
    return f"{group.replace('-', '--')}-{volume.replace('-', '--')}"


def _label(part: Part) -> bytes | None:
    start = part.at(0, _LABEL_SECTORS * SECTOR)
    for at in range(0, len(start), SECTOR):
        if start[at : at + 8] == b"LABELONE" and start[at + 24 : at + 32] == b"LVM2 001" and len(start) >= at + SECTOR:
            return start[at : at + SECTOR]
    return None


def _crc(data: bytes) -> int:
    """Return LVM's CRC-32, which starts at a value of its own and is not inverted."""
    return zlib.crc32(data, _INITIAL_CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _metadata_areas(descriptors: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and size of the metadata areas: the second of two lists that end with zeros, the first is of data areas."""
    lists = 0
    for at in range(0, min(len(descriptors), _AREAS_MAX * 16) - 15, 16):
        offset, size = struct.unpack("<QQ", descriptors[at : at + 16])
        if not offset and not size:
            lists += 1
            if lists == 2:
                return
        elif lists == 1:
            yield offset, size


def _metadata(part: Part, area_at: int, area_size: int) -> str | None:
    """Return the current text of a metadata area, a ring behind its first sector; None where it has none."""
    header = part.at(area_at, SECTOR)
    if len(header) < SECTOR or header[4:20] != b" LVM2 x[5A%r0N*>" or _crc(header[4:]) != struct.unpack("<I", header[:4])[0]:
        raise Unreadable("LvmDamaged", "the header of a metadata area is cut off or damaged")
    offset, size, checksum, flags = struct.unpack("<QQII", header[40:64])
    if not size or flags & 1:
        return None
    if not SECTOR <= offset < area_size or size > min(METADATA_BYTES_MAX, area_size - SECTOR):
        raise Unreadable("LvmDamaged", f"metadata of {size} bytes at {offset} of an area of {area_size}")
    ahead = min(size, area_size - offset)
    text = part.at(area_at + offset, ahead) + part.at(area_at + SECTOR, size - ahead)
    if _crc(text) != checksum:
        raise Unreadable("LvmDamaged", "the checksum of the volume group's metadata is wrong")
    return text.rstrip(b"\0").decode("utf-8", "replace")


def _group(text: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for name, value in text.items():
        if isinstance(value, dict):
            return name, value
    raise Unreadable("LvmDamaged", "the metadata describe no volume group")


def _section(section: dict[str, Any], name: str) -> dict[str, Any]:
    found = section.get(name, {})
    if not isinstance(found, dict):
        raise Unreadable("LvmDamaged", f"{name} is no section")
    return found


def _number(section: dict[str, Any], name: str) -> int:
    found = section.get(name)
    if not isinstance(found, int):
        raise Unreadable("LvmDamaged", f"{name} is no number")
    return found


def _text(section: dict[str, Any], name: str) -> str:
    found = section.get(name)
    if not isinstance(found, str):
        raise Unreadable("LvmDamaged", f"{name} is no text")
    return found


def _pieces(group: dict[str, Any], volume: dict[str, Any], parts: dict[str, Part]) -> Iterator[tuple[Part, int, int]]:
    """Yield where the extents of a logical volume lie."""
    extent = _number(group, "extent_size") * SECTOR
    count, reached = _number(volume, "segment_count"), 0
    if not 0 < count <= SEGMENTS_MAX or extent <= 0:
        raise Unreadable("LvmDamaged", f"{count} segments of extents of {extent} bytes")
    for number in range(1, count + 1):
        segment = _section(volume, f"segment{number}")
        if segment.get("type") != "striped" or segment.get("stripe_count") != 1:
            kind = segment.get("type")
            raise Unreadable("NotLinear", f"a logical volume of type {kind!r} on several stripes is not read; linear ones are")
        start, length = _number(segment, "start_extent"), _number(segment, "extent_count")
        stripes = segment.get("stripes")
        if (
            start != reached
            or length <= 0
            or not isinstance(stripes, list)
            or len(stripes) != 2
            or not isinstance(stripes[1], int)
        ):
            raise Unreadable("LvmDamaged", f"segment {number} does not continue the one before it")
        physical = _section(_section(group, "physical_volumes"), str(stripes[0]))
        part = parts.get(_text(physical, "id").replace("-", ""))
        if part is None:
            raise Unreadable("PhysicalVolumeMissing", "a physical volume of the group is not in the image")
        offset = _number(physical, "pe_start") * SECTOR + stripes[1] * extent
        if stripes[1] < 0 or offset < 0 or offset + length * extent > part.size:
            raise Unreadable("Truncated", "a logical volume reaches beyond the end of its physical volume")
        reached += length
        yield part, offset, length * extent
