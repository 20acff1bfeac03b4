# SPDX-License-Identifier: AGPL-3.0-or-later
"""The content of an ext file as a file object; a scan opens every file of the system."""

import os
from bisect import bisect_right
from itertools import accumulate

from filesystems.ext_blocks import Run
from findings import Unreadable
from part import Part


class MappedFile:
    """A file's content, read-only: its size is the inode's, holes and what lies beyond its runs are zeros."""

    def __init__(self, part: Part, runs: list[Run], size: int, block_bytes: int) -> None:
        self._part, self.size, self._block = part, size, block_bytes
        starts = accumulate((count for _, count in runs), initial=0)
        written = [(start, place, count) for start, (place, count) in zip(starts, runs, strict=False) if place is not None]
        self._runs = [(place * block_bytes, (start + count) * block_bytes) for start, place, count in written]
        self._starts = [start * block_bytes for start, _, _ in written]
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
        length = min(wanted, self._end(number) - self._at)
        data = self._part.at(self._runs[number][0] + self._at - self._starts[number], length)
        if len(data) < length:
            raise Unreadable("Truncated", "a block of a file lies beyond the end of the disk")
        return data

    def _end(self, number: int) -> int:
        return self._runs[number][1]
