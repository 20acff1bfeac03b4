# SPDX-License-Identifier: AGPL-3.0-or-later
"""Container formats, one file each: a bounded look at the head before any parser runs, then the virtual disk as a file object.

The format is what our own look found, and is given on explicitly: nothing guesses it later.
"""

import os
from dataclasses import replace
from typing import BinaryIO

from containers import iso, qcow2, raw, vdi, vhd, vhdx, vmdk
from containers.header import HEAD_BYTES, Container, Header, Image, Trouble

CONTAINERS: tuple[Container, ...] = (qcow2, vmdk, vhdx, vhd, vdi, iso)
"""In the order in which they are looked for; what none of them claims is raw."""


def look(descriptor: int, stated_format: str | None) -> Header:
    """Read the head of the open file, and what its tables say of places, and judge it."""
    image = _image(descriptor)
    header = _container_of(image).look(image)
    if stated_format is not None and stated_format != header.format:
        text = f"stated to be {stated_format}, found to be {header.format}; register the image with the format it has"
        header = replace(header, troubles=(Trouble("DiskFormat.OtherThanStated", text), *header.troubles))
    return header


def open_disk(descriptor: int, header: Header) -> BinaryIO:
    """Return the virtual disk of the image that `header` was found on."""
    for container in (*CONTAINERS, raw):
        if header.format == container.FORMAT:
            return container.open_disk(_image(descriptor))
    raise ValueError(header.format)


def _image(descriptor: int) -> Image:
    return Image(descriptor, os.fstat(descriptor).st_size, os.pread(descriptor, HEAD_BYTES, 0))


def _container_of(image: Image) -> Container:
    return next((container for container in CONTAINERS if container.is_it(image)), raw)
