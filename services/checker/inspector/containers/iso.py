# SPDX-License-Identifier: AGPL-3.0-or-later
"""ISO 9660: recognised, so that an installation medium is refused by name, and not read. Source: ECMA-119, 8.

A hybrid medium (isohybrid), which carries a partition table too, is one all the same.
"""

from typing import BinaryIO

from containers.header import Header, Image, Trouble

FORMAT = "iso"
_FIRST_DESCRIPTOR_AT = 0x8000


def is_it(image: Image) -> bool:
    """Tell by the first volume descriptor's identifier."""
    return image.head[_FIRST_DESCRIPTOR_AT + 1 : _FIRST_DESCRIPTOR_AT + 6] == b"CD001"


def look(image: Image) -> Header:
    """Refuse it by name."""
    text = "an ISO 9660 file system is an installation medium, no system's disk; register the disk of an installed system"
    return Header(FORMAT, image.size, image.size, (Trouble("DiskFormat.NotSupported", text),))


def open_disk(_image: Image) -> BinaryIO:
    """Never called: `look` gives a trouble that keeps it from being read."""
    raise NotImplementedError(FORMAT)
