# SPDX-License-Identifier: AGPL-3.0-or-later
"""Container formats, one file each: a bounded look at the head before any parser runs, then the virtual disk as a file object.

The format is what our own look found, and is given on explicitly: nothing guesses it later.
"""

import os
from dataclasses import replace
from typing import BinaryIO

from containers import qcow2, raw, unread
from containers.header import HEAD_BYTES, Container, Header, Image, Trouble

CONTAINERS: tuple[Container, ...] = (qcow2, *unread.FORMATS)
"""In the order in which they are looked for; what none of them claims is raw."""


def look(descriptor: int, stated_format: str | None) -> Header:
    """Read the head of the open file, and what its tables say of places, and judge it."""
    image = Image(descriptor, os.fstat(descriptor).st_size, os.pread(descriptor, HEAD_BYTES, 0))
    header = _container_of(image).look(image)
    if stated_format is not None and stated_format != header.format:
        text = f"stated to be {stated_format}, found to be {header.format}; register the image with the format it has"
        header = replace(header, troubles=(Trouble("DiskFormat.OtherThanStated", text), *header.troubles))
    return header


def open_disk(descriptor: int, header: Header) -> BinaryIO:
    """Return the virtual disk of the image that `header` was found on."""
    file = os.fdopen(os.dup(descriptor), "rb")
    for container in (*CONTAINERS, raw):
        if header.format == container.FORMAT:
            return container.open_disk(file)
    raise ValueError(header.format)


def _container_of(image: Image) -> Container:
    return next((container for container in CONTAINERS if container.is_it(image)), raw)
