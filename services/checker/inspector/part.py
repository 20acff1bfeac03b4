# SPDX-License-Identifier: AGPL-3.0-or-later
"""A part of a disk as a file object."""

import os
from typing import BinaryIO


class Part:
    """A window on a disk as a read-only file object; reading outside it gives nothing."""

    def __init__(self, disk: BinaryIO, offset: int, size: int) -> None:
        self._disk, self._offset, self.size, self._at = disk, offset, size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, length: int = -1) -> bytes:
        """Read up to `length` bytes, never beyond the window."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        if not wanted:
            return b""
        self._disk.seek(self._offset + self._at)
        data = self._disk.read(wanted)
        self._at += len(data)
        return data

    def at(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes at `offset` of the window."""
        self.seek(offset)
        return self.read(length)
