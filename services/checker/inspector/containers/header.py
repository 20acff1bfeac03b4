# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the head of a disk image says, and what every container format offers."""

import os
from dataclasses import dataclass
from typing import BinaryIO, Protocol

HEAD_BYTES = 64 * 1024
VIRTUAL_BYTES_MAX = 64 * 2**40
TABLE_BYTES_MAX = 256 * 2**20
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in the header that keeps an image from being accepted, or, unless `readable`, from being read at all."""

    code: str
    text: str
    readable: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of the file says: format, sizes in bytes, troubles, whether the container itself is encrypted."""

    format: str
    size_bytes: int
    virtual_size_bytes: int
    troubles: tuple[Trouble, ...] = ()
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """The open file: its descriptor, its size, its first 64 KiB."""

    descriptor: int
    size: int
    head: bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes at `offset`; fewer at the end of the file, none beyond it."""
        if not 0 <= offset < self.size:
            return b""
        return os.pread(self.descriptor, min(length, self.size - offset), offset)


class Container(Protocol):
    """What every file of this folder offers, as functions of a module; `FORMAT` is the format's name."""

    FORMAT: str

    def is_it(self, image: Image, /) -> bool:
        """Tell by its magic whether the image has it."""
        ...

    def look(self, image: Image, /) -> Header:
        """Judge header and tables, bounded, without any parser; never raises for what it meets."""
        ...

    def open_disk(self, image: Image, /) -> BinaryIO:
        """Return the virtual disk of an image without troubles that keep it from being read."""
        ...
