# SPDX-License-Identifier: AGPL-3.0-or-later
"""A part of a disk as a file object."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from findings import Unreadable
from positioned import Positioned

QUESTION_BYTES_MAX = 8 * 2**20
"""What the answer to one question about a file system (an inode, a directory entry, a file's extents) may read."""
_READ_COST_MIN = 512


class Part(Positioned):
    """A window on a disk as a read-only file object; reading outside it gives nothing."""

    def __init__(self, disk: BinaryIO, offset: int, size: int) -> None:
        self._disk, self._offset, self.size = disk, offset, size
        self._left: int | None = None

    def read(self, length: int | None = -1) -> bytes:
        """Read up to `length` bytes, never beyond the window."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        if self._left is not None:
            self._left -= max(wanted, _READ_COST_MIN)
            if self._left < 0:
                raise Unreadable("TooMuchMetadata", "answering one question about the file system takes too much reading")
        if not wanted:
            return b""
        data = self._fetch(self._at, wanted)
        self._at += len(data)
        return data

    def _fetch(self, at: int, length: int) -> bytes:
        self._disk.seek(self._offset + at)
        return self._disk.read(length)

    def at(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes at `offset` of the window."""
        self.seek(offset)
        return self.read(length)

    @contextmanager
    def one_question(self, bytes_max: int = QUESTION_BYTES_MAX) -> Iterator[None]:
        """Bound what is read meanwhile: tables that lead back to themselves, or to one place many times, end as `Unreadable`."""
        before, self._left = self._left, bytes_max if self._left is None else self._left
        try:
            yield
        finally:
            self._left = before


class JoinedPart(Part):
    """Windows on one or more parts, one after the other: `pieces` are part, offset and length in bytes."""

    def __init__(self, pieces: list[tuple[Part, int, int]]) -> None:
        self.pieces = pieces
        super().__init__(pieces[0][0], 0, sum(length for _, _, length in pieces))  # type: ignore[arg-type]

    def _fetch(self, at: int, length: int) -> bytes:
        found, start = [], 0
        for part, offset, size in self.pieces:
            if length and start <= at < start + size:
                data = part.at(offset + at - start, min(length, start + size - at))
                found.append(data)
                at += len(data)
                length -= len(data)
                if at < start + size:
                    break
            start += size
        return b"".join(found)
