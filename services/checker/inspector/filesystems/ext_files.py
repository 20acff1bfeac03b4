# SPDX-License-Identifier: AGPL-3.0-or-later
"""Contents of ext4 files that are mapped by extents, read as they lie on the disk.

Our own beside the parser's: a scan opens every file of the system, and the parser's description of one inode in Python takes
longer than reading what most of them hold. Source: Linux, Documentation/filesystems/ext4 (extent tree).
"""

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass

from findings import Unreadable
from part import Part

EXTENTS_MAX = 1_000_000
"""A file of a terabyte in pieces of one MiB."""
_MAGIC = 0xF30A
_DEPTH_MAX = 5
_UNWRITTEN = 0x8000
_HEADER = struct.Struct("<HHHH")
_LEAF = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIH")


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks of a file that lie one behind the other: the first's number in the file, on the disk (None: all zero), how many."""

    start: int
    place: int | None
    count: int


def runs_of(part: Part, i_block: bytes, block_bytes: int) -> list[Run]:
    """Return the written runs of a file in their order, from the 60 bytes `i_block` of its inode.

    What lies between them is a hole. Raises `Unreadable` for a tree that makes no sense: one that leads back to itself has more
    levels or more extents than any, or extents that overlap.
    """
    found: list[Run] = []
    _read_node(part, i_block, block_bytes, _DEPTH_MAX, found)
    end = 0
    for run in found:
        if run.start < end:
            raise Unreadable("ExtentsDamaged", "extents of a file overlap, or are not in order")
        end = run.start + run.count
    return [run for run in found if run.place is not None]


def _read_node(part: Part, data: bytes, block_bytes: int, depth_most: int, found: list[Run]) -> None:
    magic, entries, _, depth = _HEADER.unpack_from(data) if len(data) >= 12 else (0, 0, 0, 0)
    if magic != _MAGIC or depth > depth_most or 12 * (entries + 1) > len(data):
        raise Unreadable("ExtentsDamaged", "a node of a file's extent tree makes no sense")
    for at in range(12, 12 * (entries + 1), 12):
        if depth:
            _, low, high = _INDEX.unpack_from(data, at)
            _read_node(part, part.at((low | high << 32) * block_bytes, block_bytes), block_bytes, depth - 1, found)
            continue
        start, count, high, low = _LEAF.unpack_from(data, at)
        if count > _UNWRITTEN:
            found.append(Run(start, None, count - _UNWRITTEN))
        elif count:
            found.append(Run(start, low | high << 32, count))
        if len(found) > EXTENTS_MAX:
            raise Unreadable("ExtentsDamaged", f"a file of more than {EXTENTS_MAX} extents")


class ExtentFile:
    """A file's content as a read-only file object: its size is the inode's, holes and what lies beyond its extents are zeros."""

    def __init__(self, part: Part, runs: list[Run], size: int, block_bytes: int) -> None:
        self._part, self._runs, self.size, self._block = part, runs, size, block_bytes
        self._starts = [run.start * block_bytes for run in runs]
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        self._at = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence] + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def next_data(self, offset: int) -> int:
        """Return where at or behind `offset` the next written block is; the size where there is none."""
        number = bisect_right(self._starts, offset) - 1
        if number >= 0 and offset < self._end(number):
            return offset
        return min(self.size, self._starts[number + 1]) if number + 1 < len(self._runs) else self.size

    def read(self, length: int | None = -1) -> bytes:
        """Read up to `length` bytes; fewer only at the end."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        pieces = []
        while wanted:
            piece = self._piece(wanted)
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, wanted: int) -> bytes:
        number = bisect_right(self._starts, self._at) - 1
        if number < 0 or self._at >= self._end(number):
            following = self._starts[number + 1] if number + 1 < len(self._runs) else self.size
            return bytes(min(wanted, max(1, following - self._at)))
        run = self._runs[number]
        length = min(wanted, self._end(number) - self._at)
        data = self._part.at((run.place or 0) * self._block + self._at - self._starts[number], length)
        if len(data) < length:
            raise Unreadable("Truncated", "a block of a file lies beyond the end of the disk")
        return data

    def _end(self, number: int) -> int:
        return self._starts[number] + self._runs[number].count * self._block
