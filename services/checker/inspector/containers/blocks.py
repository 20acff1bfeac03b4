# SPDX-License-Identifier: AGPL-3.0-or-later
"""A virtual disk made of blocks: what qcow2, VMDK, VHD, VHDX and VDI have in common.

Our own, because the look at the header walks the tables anyway, and what is left to do is little. dissect.hypervisor 3.21 reads
on past the end of a block in VDI and VHDX (another block's bytes, where they do not follow each other), inflates VMDK grains
without a bound, follows neighbouring files, and takes long to import.
"""

import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, cast

from containers.header import Image
from findings import Unreadable
from positioned import Positioned

_PAGE_BYTES = 16 * 1024
_PAGES_KEPT = 64
_UNPACKED_KEPT = 4


class Numbers:
    """The image file seen as integers of one width (4 or 8 bytes) and byte order; pages are read when needed, few are kept."""

    def __init__(self, image: Image, *, width: int, order: str) -> None:
        self._image, self._width, self._swapped = image, width, order != sys.byteorder
        self._page = lru_cache(_PAGES_KEPT)(self._read_page)

    def _read_page(self, number: int) -> "array[int]":
        return self._read(number * _PAGE_BYTES, _PAGE_BYTES)

    def _read(self, offset: int, length: int) -> "array[int]":
        data = self._image.read(offset, length)
        numbers = array("I" if self._width == 4 else "Q", data[: len(data) // self._width * self._width])
        if self._swapped:
            numbers.byteswap()
        return numbers

    def at(self, offset: int) -> int:
        """Return the number at `offset`, a multiple of the width."""
        page, within = divmod(offset, _PAGE_BYTES)
        numbers = self._page(page)
        if within // self._width >= len(numbers):
            raise Unreadable("Truncated", "a table of the disk image is cut off")
        return numbers[within // self._width]

    def pages(self, offset: int, count: int) -> Iterator["array[int]"]:
        """Yield the `count` numbers from `offset` on, some at a time, not kept."""
        end = offset + count * self._width
        for start in range(offset, end, _PAGE_BYTES):
            yield self._read(start, min(_PAGE_BYTES, end - start))


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed block: where in the file it lies, and at most how long it is."""

    offset: int
    length: int


class BlockDisk(Positioned):
    """The virtual disk as a read-only file object.

    `place` tells of a block's number where in the file it lies: at an offset, compressed, or nowhere (all zero); `unpack` returns
    the bytes of a compressed one, and raises `Unreadable` where there are more or fewer than a block's.
    """

    def __init__(
        self,
        image: Image,
        size: int,
        block_bytes: int,
        place: Callable[[int], int | Packed | None],
        unpack: Callable[[Packed], bytes] | None = None,
    ) -> None:
        self._image, self.size, self._block, self._place = image, size, block_bytes, place
        self._unpack = lru_cache(_UNPACKED_KEPT)(unpack) if unpack else None

    def _piece(self, wanted: int, at: int) -> bytes:
        """Return the bytes from `at` to the end of its block, or of the blocks that follow it in the file too."""
        number, within = divmod(at, self._block)
        place, length = self._place(number), self._block - within
        if isinstance(place, Packed):
            if self._unpack is None:
                raise Unreadable("Malformed", "a compressed block in an image without compression")
            return self._unpack(place)[within : within + wanted]
        while length < wanted:
            number += 1
            following = self._place(number)
            if following != (None if place is None else place + within + length):
                break
            length += self._block
        length = min(length, wanted)
        if place is None:
            return bytes(length)
        data = self._image.read(place + within, length)
        if len(data) < length:
            raise Unreadable("Truncated", "a block of the disk reaches beyond the end of the file")
        return data


def as_file(disk: BlockDisk) -> BinaryIO:
    """Return the disk under the type that its users know."""
    return cast("BinaryIO", disk)
