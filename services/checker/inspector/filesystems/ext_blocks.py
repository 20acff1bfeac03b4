# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where the content of an ext inode lies: extents, block maps, inline data.

What Linux refuses or reads otherwise must not look different here. Source: Linux, Documentation/filesystems/ext4 (contents of
inode.i_block, inline data); fs/ext4/extents.c for what is refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from findings import Unreadable
from part import Part

Run = tuple[int | None, int]
"""The first block, None for a hole, and how many there are."""

_EXTENT_MAGIC = 0xF30A
_EXTENT_DEPTH_MAX = 5
_WRITTEN_MAX = 0x8000
_HEADER = struct.Struct("<HHHH4x")
_LEAF = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIH2x")
_RUNS_MAX = 1_000_000
"""A file of a terabyte in pieces of one MiB."""
_DIRECT = 12
_LEVELS = 3


def is_leaf(map_: bytes) -> bool:
    """Whether the extents in an inode name the file's own blocks, and no further node."""
    return map_[6:8] == b"\0\0"


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of one file system: where to read them, their size, how many there are."""

    part: Part
    size: int
    count: int

    def read(self, number: int) -> bytes:
        """Return a block of metadata; raises `Unreadable` outside the file system."""
        self.check(number, 1)
        data = self.part.at(number * self.size, self.size)
        if len(data) < self.size:
            raise Unreadable("Truncated", f"block {number} lies beyond the end of the disk")
        return data

    def check(self, first: int, count: int) -> None:
        """Raise `Unreadable` for blocks that the file system does not have."""
        if not 0 < first <= first + count <= self.count:
            raise Unreadable("BlockBeyondDisk", f"{count} blocks at {first} of a file system that has {self.count}")

    def runs(self, map_: bytes, length: int, *, extents: bool) -> list[Run]:
        """Return where `length` blocks of a file lie, by the 60 bytes of its inode's map."""
        pieces = self._extents(map_) if extents else self._pointers(map_, length)
        runs: list[Run] = []
        at = 0
        for logical, first, count in pieces:
            if logical < at:
                raise Unreadable("ExtentsDamaged", f"the extents of a file are not in order at its block {logical}")
            if logical > at:
                runs.append((None, logical - at))
            at = logical + count
            last, last_count = runs[-1] if runs else (None, 0)
            if len(runs) > _RUNS_MAX:
                raise Unreadable("ExtentsDamaged", f"a file in more than {_RUNS_MAX} pieces")
            if runs and first is not None and last is not None and last + last_count == first:
                runs[-1] = (last, last_count + count)
            else:
                runs.append((first, count))
        if at < length:
            runs.append((None, length - at))
        return runs

    def _extents(self, node: bytes, depth: int | None = None) -> Iterator[tuple[int, int | None, int]]:
        """Yield (block of the file, block of the disk or None where nothing was written yet, how many)."""
        magic, entries, most, level = _HEADER.unpack_from(node)
        fits = (len(node) - _HEADER.size) // _LEAF.size
        if magic != _EXTENT_MAGIC or entries > min(most, fits) or level > _EXTENT_DEPTH_MAX or depth not in {None, level}:
            raise Unreadable("ExtentsDamaged", f"a node of {entries} extents at level {level} makes no sense")
        for at in range(_HEADER.size, _HEADER.size + entries * _LEAF.size, _LEAF.size):
            if level:
                _, low, high = _INDEX.unpack_from(node, at)
                yield from self._extents(self.read(low | high << 32), level - 1)
                continue
            logical, count, high, low = _LEAF.unpack_from(node, at)
            written = count <= _WRITTEN_MAX
            count -= 0 if written else _WRITTEN_MAX
            if not count:
                raise Unreadable("ExtentsDamaged", "an extent of no blocks")
            self.check(low | high << 32, count)
            yield logical, (low | high << 32) if written else None, count

    def _pointers(self, map_: bytes, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield (block of the file, block of the disk, 1) by direct and indirect pointers."""
        pointers = struct.unpack(f"<{_DIRECT + _LEVELS}I", map_)
        for logical, block in enumerate(pointers[: min(_DIRECT, length)]):
            if block:
                self.check(block, 1)
                yield logical, block, 1
        start = _DIRECT
        for level, block in enumerate(pointers[_DIRECT:]):
            if start >= length:
                return
            yield from self._indirect(block, level, start, length)
            start += (self.size // 4) ** (level + 1)

    def _indirect(self, block: int, level: int, start: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield what a block of pointers names, `level` blocks of pointers deep; it stands for the file from `start` on."""
        if not block:
            return
        step = (self.size // 4) ** level
        for number, pointer in enumerate(struct.unpack(f"<{self.size // 4}I", self.read(block))):
            logical = start + number * step
            if logical >= length:
                return
            if not level and pointer:
                self.check(pointer, 1)
                yield logical, pointer, 1
            elif pointer:
                yield from self._indirect(pointer, level - 1, logical, length)
