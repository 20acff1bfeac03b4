# SPDX-License-Identifier: AGPL-3.0-or-later
"""Raw: the file is the disk."""

import os
from typing import BinaryIO

from containers.header import SECTOR, Header, Image, Trouble

FORMAT = "raw"


def is_it(_image: Image) -> bool:
    """Whatever no other format claims."""
    return True


def look(image: Image) -> Header:
    """Judge the size: a disk is a whole number of sectors."""
    troubles = (Trouble("DiskFormat.PartialSector", "the file is no whole number of 512-byte sectors", readable=True),)
    partial = image.size % SECTOR and image.size >= SECTOR
    return Header(FORMAT, image.size, image.size, troubles if partial else ())


def open_disk(image: Image) -> BinaryIO:
    """Return the file itself."""
    return os.fdopen(os.dup(image.descriptor), "rb")
