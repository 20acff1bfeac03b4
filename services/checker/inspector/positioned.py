# SPDX-License-Identifier: AGPL-3.0-or-later
"""Where a read-only file object stands, and reading on from there."""

import os


class Positioned:
    """A read-only file object of `size` bytes, made of pieces that `_piece` returns."""

    size: int
    _at = 0
    """Of the class, so that a file that is opened costs no call for it: a scan opens every one of a system."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        base = 0 if whence == os.SEEK_SET else {os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, length: int | None = -1) -> bytes:
        """Read up to `length` bytes; fewer only at the end."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        pieces = []
        while wanted and (piece := self._piece(wanted, self._at)):
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, wanted: int, at: int) -> bytes:
        """Return 1 to `wanted` bytes at `at`, as pread(2) does; none ends the reading."""
        raise NotImplementedError
