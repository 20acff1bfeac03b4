# SPDX-License-Identifier: AGPL-3.0-or-later
"""Raw: the file is the disk."""

import os
from functools import partial
from typing import BinaryIO, cast

from containers.header import SECTOR, VIRTUAL_BYTES_MAX, Header, Image, Trouble
from positioned import Positioned

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


class _ByPosition(Positioned):
    """An open file read by position: processes that share a descriptor share where it stands, too."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._piece = partial(os.pread, descriptor)  # type: ignore[method-assign]
