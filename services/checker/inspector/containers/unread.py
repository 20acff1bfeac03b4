# SPDX-License-Identifier: AGPL-3.0-or-later
"""Formats that are recognised, so that they are refused by name, and not read.

Sources: VMDK 5.0 technical note; [MS-VHDX] 2.1; the VHD specification 1.0; VirtualBox VDICore.h; ECMA-119 8.
"""

from dataclasses import dataclass
from typing import BinaryIO

from containers.header import SECTOR, Container, Header, Image, Trouble


@dataclass(frozen=True, slots=True)
class Unread:
    """One such format: its name, and where which magic numbers stand."""

    FORMAT: str
    magics: tuple[tuple[int, bytes], ...]

    def is_it(self, image: Image) -> bool:
        """Tell by the magic; a fixed VHD is a raw disk with a footer."""
        if any(image.head[offset : offset + len(magic)] == magic for offset, magic in self.magics):
            return True
        return self.FORMAT == "vhd" and image.size >= SECTOR and image.read(image.size - SECTOR, 8) == b"conectix"

    def look(self, image: Image) -> Header:
        """Refuse it by name."""
        text = f"{self.FORMAT} images are not read yet; convert it to raw or qcow2 (qemu-img convert -O qcow2)"
        return Header(self.FORMAT, image.size, image.size, (Trouble("DiskFormat.NotSupported", text),))

    def open_disk(self, file: BinaryIO) -> BinaryIO:
        """Never called: `look` gives a trouble that keeps it from being read."""
        raise NotImplementedError(self.FORMAT)


FORMATS: tuple[Container, ...] = (
    Unread("vmdk", ((0, b"KDMV"), (0, b"COWD"), (0, b"# Disk DescriptorFile"))),
    Unread("vhdx", ((0, b"vhdxfile"),)),
    Unread("vhd", ((0, b"conectix"),)),
    Unread("vdi", ((64, b"\x7f\x10\xda\xbe"),)),
    Unread("iso", ((0x8001, b"CD001"),)),
)
