# SPDX-License-Identifier: AGPL-3.0-or-later
"""Raw: the file is the disk."""

import io
import os
from typing import BinaryIO, cast

from containers.header import SECTOR, VIRTUAL_BYTES_MAX, Header, Image, Trouble

FORMAT = "raw"


def is_it(_image: Image) -> bool:
    """Whatever no other format claims."""
    return True


def look(image: Image) -> Header:
    """Judge the size: a disk is a whole number of sectors."""
    troubles = []
    if image.size > VIRTUAL_BYTES_MAX:
        troubles.append(Trouble("DiskFormat.TooLarge", f"a disk of {image.size} bytes is over {VIRTUAL_BYTES_MAX}"))
    if image.size % SECTOR and image.size >= SECTOR:
        text = "the file is no whole number of 512-byte sectors"
        troubles.append(Trouble("DiskFormat.PartialSector", text, readable=True))
    return Header(FORMAT, image.size, image.size, tuple(troubles))


def open_disk(image: Image) -> BinaryIO:
    """Return the file itself."""
    return cast("BinaryIO", _ByPosition(image.descriptor, image.size))


class _ByPosition(io.RawIOBase):
    """An open file read by position: processes that share a descriptor share where it stands, too."""

    def __init__(self, descriptor: int, size: int) -> None:
        super().__init__()
        self._descriptor, self.size, self._at = descriptor, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; returns the new position."""
        self._at = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence] + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, length: int | None = -1) -> bytes:
        """Read up to `length` bytes; fewer only at the end."""
        left = max(0, self.size - self._at)
        wanted = left if length is None or length < 0 else min(length, left)
        pieces = []
        while wanted and (piece := os.pread(self._descriptor, wanted, self._at)):
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
