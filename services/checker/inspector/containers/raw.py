# SPDX-License-Identifier: AGPL-3.0-or-later
"""Raw: the file is the disk."""

import os
from typing import BinaryIO

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
    return os.fdopen(os.dup(image.descriptor), "rb")
