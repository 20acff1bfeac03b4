# SPDX-License-Identifier: AGPL-3.0-or-later
"""Inodes in an XFS' log: kept there as the machine that wrote them keeps numbers, little-endian, and on the disk big-endian.

Source: XFS Algorithms and Data Structures, 3rd edition, "On-disk Inode" and "Inode Updates"; Linux,
fs/xfs/libxfs/xfs_log_format.h.
"""

import stat
import struct
from dataclasses import dataclass

from filesystems.xfs_geometry import Geometry
from filesystems.xfs_log import NOT_REPLAYED
from filesystems.xfs_transactions import Item
from findings import Unreadable

_CORE = "HHBBHIIIHH8sQQQQQIIHBBIHHI"
"""From the magic to the generation: 96 bytes; what lies at 24 differs by version."""
_EXTENDED = "QQQI12sQQ16s"
"""Of version 3, from 104 to 176: changes, sequence number, flags, copy-on-write size, padding, birth, number, UUID."""
_TIMES = (11, 12, 13)
_LOCAL, _EXTENTS, _TREE = 1, 2, 3
_BIG_TIMES, _BIG_COUNTS = 0x8, 0x10
_DATA, _EXTENT_LIST, _ROOT, _DEVICE = 0x2, 0x4, 0x8, 0x10
_ATTRIBUTES_SHIFT = 5
"""The flags of the attribute fork are those of the data fork, moved by so much."""
_FLUSHES_MAX = 0xFFFF


@dataclass(frozen=True, slots=True)
class InodeItem:
    """The description of a logged inode: which of its parts are logged, the buffer it lies in (sectors), where in it (bytes)."""

    fields: int
    device: int
    sector: int
    sectors: int
    at: int


def description(region: bytes | bytearray) -> InodeItem:
    """Read the first region of an inode's item, as 64-bit systems write it or, without padding, as 32-bit ones did."""
    if len(region) not in (52, 56):
        raise Unreadable(NOT_REPLAYED, "an inode's item is of another length")
    behind = 12 if len(region) == 52 else 16
    (fields,) = struct.unpack_from("<I", region, 4)
    device, sector, sectors, at = struct.unpack_from("<8xI12xqii", region, behind)
    return InodeItem(fields, device, sector, sectors, at)


def is_outdated(core: bytes | bytearray, old: bytes, lsn: int, geometry: Geometry) -> bool:
    """Tell whether the inode on the disk, `old`, is newer than the logged one."""
    if geometry.is_version_5:
        (own,) = struct.unpack_from(">Q", old, 112)
        return bool(old[4] >= 3 and own not in (0, 2**64 - 1) and own > lsn)
    (flushes,), (before,) = struct.unpack_from("<H", core, 30), struct.unpack_from(">H", old, 30)
    return bool(flushes < before and not (before == _FLUSHES_MAX and flushes < _FLUSHES_MAX >> 1))


def merged(item: Item, said: InodeItem, old: bytes, lsn: int, geometry: Geometry) -> bytes:
    """Return the inode `old` with what is logged over it; raises `Unreadable` for what Linux would refuse."""
    core = bytes(item[1])
    core_bytes = 176 if geometry.is_version_5 else 100
    if len(core) not in ((176,) if geometry.is_version_5 else (96, 100)) or core[4] != (3 if geometry.is_version_5 else 2):
        raise Unreadable(NOT_REPLAYED, "an inode's item is of another version")
    new = bytearray(old)
    flags2 = struct.unpack_from("<Q", core, 120)[0] if geometry.is_version_5 else 0
    new[:96] = _core(core, flags2)
    if geometry.is_version_5:
        values = list(struct.unpack_from("<" + _EXTENDED, core, 104))
        values[1], values[4], values[5] = lsn, bytes(12), _time(values[5], flags2)
        new[104:176] = struct.pack(">" + _EXTENDED, *values)
    fork_at = core_bytes + core[82] * 8
    if fork_at > geometry.inode_bytes:
        raise Unreadable(NOT_REPLAYED, "an inode's fork lies outside it")
    if said.fields & _DEVICE:
        new[core_bytes : core_bytes + 4] = struct.pack(">I", said.device)
    data = (said.fields, core_bytes, fork_at if core[82] else geometry.inode_bytes)
    attributes = (said.fields >> _ATTRIBUTES_SHIFT, fork_at, geometry.inode_bytes if core[82] else fork_at)
    regions = item[2:]
    for fields, at, end in (data, attributes) if regions else ():
        wanted = fields & (_DATA | _EXTENT_LIST | _ROOT)
        if not wanted:
            continue
        if wanted & (wanted - 1) or not regions:
            raise Unreadable(NOT_REPLAYED, "an inode's item lacks a fork")
        content = bytes(regions.pop(0))
        content = _root(content, end - at, geometry) if wanted == _ROOT else content
        if len(content) > end - at:
            raise Unreadable(NOT_REPLAYED, "an inode's fork is larger than its place")
        new[at : at + len(content)] = content
    return bytes(new)


def _core(core: bytes, flags2: int) -> bytes:
    values = list(struct.unpack_from("<" + _CORE, core))
    mode, form, union = values[1], values[3], values[10]
    allowed = {stat.S_IFREG: (_EXTENTS, _TREE), stat.S_IFDIR: (_LOCAL, _EXTENTS, _TREE)}.get(stat.S_IFMT(mode))
    if allowed is not None and form not in allowed:
        raise Unreadable(NOT_REPLAYED, "an inode's format does not fit its type")
    extents = int.from_bytes(union, "little") + values[17] if flags2 & _BIG_COUNTS else values[17] + values[18]
    if extents > values[15]:
        raise Unreadable(NOT_REPLAYED, "an inode has more extents than blocks")
    values[4] = 0
    values[10] = union[::-1] if flags2 & _BIG_COUNTS else bytes(8)
    for at in _TIMES:
        values[at] = _time(values[at], flags2)
    return struct.pack(">" + _CORE, *values)


def _time(value: int, flags2: int) -> int:
    """Return a time's number as it stands on the disk: nanoseconds, or seconds and nanoseconds in two words."""
    return value if flags2 & _BIG_TIMES else (value & 0xFFFFFFFF) << 32 | value >> 32


def _root(block: bytes, fork_bytes: int, geometry: Geometry) -> bytes:
    """Return the root of a tree of extents as an inode holds it: without the header that it has in memory."""
    header_bytes = 72 if geometry.is_version_5 else 24
    if len(block) < header_bytes:
        raise Unreadable(NOT_REPLAYED, "a tree of extents makes no sense")
    level, count = struct.unpack_from(">HH", block, 4)
    room, room_in_fork = (len(block) - header_bytes) // 16, (fork_bytes - 4) // 16
    if not level or not count or count > min(room, room_in_fork):
        raise Unreadable(NOT_REPLAYED, "a tree of extents makes no sense")
    keys = block[header_bytes : header_bytes + count * 8]
    pointers_at = header_bytes + room * 8
    pointers = block[pointers_at : pointers_at + count * 8]
    return struct.pack(">HH", level, count) + keys.ljust(room_in_fork * 8, b"\0") + pointers
