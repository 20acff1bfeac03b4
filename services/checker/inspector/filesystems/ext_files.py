# SPDX-License-Identifier: AGPL-3.0-or-later
"""The content of an ext file as a file object; a scan opens every file of the system."""

from bisect import bisect_right
from itertools import accumulate

from filesystems.ext_blocks import Run
from findings import Unreadable
from part import Part
from positioned import Positioned


class MappedFile(Positioned):
    """A file's content, read-only: its size is the inode's, holes and what lies beyond its runs are zeros."""

    def __init__(self, part: Part, runs: list[Run], size: int, block_bytes: int) -> None:
        self._part, self.size, self._block = part, size, block_bytes
        starts = accumulate((count for _, count in runs), initial=0)
        written = [(start, place, count) for start, (place, count) in zip(starts, runs, strict=False) if place is not None]
        self._runs = [(place * block_bytes, (start + count) * block_bytes) for start, place, count in written]
        self._starts = [start * block_bytes for start, _, _ in written]

    def next_data(self, offset: int) -> int:
        """Return where at or behind `offset` the next written block is; the size where there is none."""
        number = bisect_right(self._starts, offset) - 1
        if number >= 0 and offset < self._end(number):
            return offset
        return min(self.size, self._starts[number + 1]) if number + 1 < len(self._runs) else self.size

    def _piece(self, wanted: int, at: int) -> bytes:
        number = bisect_right(self._starts, at) - 1
        if number < 0 or at >= self._end(number):
            following = self._starts[number + 1] if number + 1 < len(self._runs) else self.size
            return bytes(min(wanted, max(1, following - at)))
        length = min(wanted, self._end(number) - at)
        data = self._part.at(self._runs[number][0] + at - self._starts[number], length)
        if len(data) < length:
            raise Unreadable("Truncated", "a block of a file lies beyond the end of the disk")
        return data

    def _end(self, number: int) -> int:
        return self._runs[number][1]
