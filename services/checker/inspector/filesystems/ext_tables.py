# SPDX-License-Identifier: AGPL-3.0-or-later
"""Inodes and directory entries of ext, read as they lie on the disk.

A walk asks for every inode of the system: each is one `struct`. Source: Linux, Documentation/filesystems/ext4 (index nodes,
directory entries).
"""

import stat
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from filesystems.base import Stat
from findings import Unreadable
from part import Part

_STEP_BYTES = 16 * 1024
"""Read at once: a folder's inodes lie side by side. A multiple of every inode's size."""
_CACHED_STEPS_MAX = 64
_INODE = struct.Struct("<HHI8xI4xH82xI8xHH")
_MAPPING = struct.Struct("<32xI4x60s")
_ENTRY = struct.Struct("<IHBB")
_KINDS = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}


class Mapping(NamedTuple):
    """Where an inode's content is: its flags, and the 60 bytes that map its blocks."""

    flags: int
    i_block: bytes


class InodeTable:
    """The inodes of one file system; `groups_at` is where its group descriptors begin, sizes are in bytes."""

    def __init__(
        self,
        part: Part,
        *,
        block_bytes: int,
        inode_bytes: int,
        inodes_per_group: int,
        groups_at: int,
        group_bytes: int,
        wide: bool,
    ) -> None:
        self._part = part
        self._block_bytes = block_bytes
        self._inode_bytes = inode_bytes
        self._inodes_per_group = inodes_per_group
        self._groups_at, self._group_bytes, self._wide = groups_at, group_bytes, wide
        self._tables: dict[int, int] = {}
        self._steps: OrderedDict[int, bytes] = OrderedDict()

    def stat(self, number: int) -> Stat:
        """Return inode `number`; raises `Unreadable` if it lies outside the disk."""
        return _stat(number, self.raw(number))

    def mapping(self, number: int) -> Mapping:
        """Return where the content of inode `number` is; raises as `stat`."""
        return Mapping(*_MAPPING.unpack_from(self.raw(number)))

    def both(self, number: int) -> tuple[Stat, Mapping]:
        """Return what `stat` and `mapping` do."""
        raw = self.raw(number)
        return _stat(number, raw), Mapping(*_MAPPING.unpack_from(raw))

    def raw(self, number: int) -> bytes:
        """Return the bytes of inode `number`, all that its table holds of it; raises as `stat`."""
        group, index = divmod(number - 1, self._inodes_per_group)
        table = self._tables.get(group)
        if table is None:
            table = self._table(group)
        step, within = divmod(table + index * self._inode_bytes, _STEP_BYTES)
        data = self._steps.get(step)
        if data is None:
            data = self._steps[step] = self._part.at(step * _STEP_BYTES, _STEP_BYTES)
            if len(self._steps) > _CACHED_STEPS_MAX:
                self._steps.popitem(last=False)
        raw = data[within : within + self._inode_bytes]
        if len(raw) < 128:
            raise Unreadable("Truncated", f"inode {number} lies beyond the end of the disk")
        return raw

    def _table(self, group: int) -> int:
        descriptor = self._part.at(self._groups_at + group * self._group_bytes, self._group_bytes)
        if len(descriptor) < 12:
            raise Unreadable("Truncated", f"the descriptor of group {group} lies beyond the end of the disk")
        low = struct.unpack_from("<I", descriptor, 8)[0]
        high = struct.unpack_from("<I", descriptor, 40)[0] if self._wide and len(descriptor) >= 44 else 0
        self._tables[group] = (low | high << 32) * self._block_bytes
        return self._tables[group]


def _stat(number: int, raw: bytes) -> Stat:
    mode, uid, size, mtime, gid, size_high, uid_high, gid_high = _INODE.unpack_from(raw)
    kind = mode & 0o170000
    if kind not in _KINDS:
        # The kernel cannot open it either; what would have been in it is not absent.
        raise Unreadable("InodeDamaged", f"inode {number} is of no kind that there is (mode {mode:#o})")
    return Stat(kind, mode & 0o7777, uid | uid_high << 16, gid | gid_high << 16, size | size_high << 32, mtime)


def entries(data: bytes, *, block_bytes: int, inodes: int, typed: bool) -> Iterator[tuple[str, int]]:
    """Yield (name, inode number) of a directory's content, `.` and `..` left out.

    `inodes` is how many there are; `typed` whether entries hold a type, else their name's length has two bytes. Raises
    `Unreadable` for an entry that makes no sense: the kernel refuses such a directory, and what it hides is not absent.
    """
    at = 0
    while at + _ENTRY.size <= len(data):
        number, length, name_length, high = _ENTRY.unpack_from(data, at)
        if length in {0, 65535} and block_bytes == 65536:
            length = 65536
        if not typed:
            name_length |= high << 8
        if length < 8 or length % 4 or at % block_bytes + length > block_bytes or name_length > length - 8:
            raise Unreadable("DirectoryDamaged", f"a directory entry of {length} bytes at byte {at} of its directory")
        if 0 < number <= inodes:
            name = data[at + 8 : at + 8 + name_length]
            if name not in {b".", b".."}:
                yield name.decode(errors="surrogateescape"), number
        at += length
