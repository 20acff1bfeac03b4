# SPDX-License-Identifier: AGPL-3.0-or-later
"""FAT: recognised, with label and serial number. Source: Microsoft, FAT32 File System Specification 1.03."""

import struct
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

from filesystems.base import FileSystem, Node, Stat
from part import Part


def is_it(part: Part) -> bool:
    """Tell by the boot sector's signature and type."""
    start = part.at(0, 512)
    return start[510:512] == b"\x55\xaa" and (start[54:57] == b"FAT" or start[82:87] == b"FAT32")


def open_it(part: Part) -> FileSystem:
    """Return what the boot sector says."""
    return FatFileSystem(part)


class FatFileSystem(FileSystem):
    """A FAT file system of which only the boot sector is read."""

    kind: ClassVar[str] = "vfat"
    ignores_case: ClassVar[bool] = True
    is_read: ClassVar[bool] = False

    def __init__(self, part: Part) -> None:
        start = part.at(0, 512)
        at = 67 if start[82:87] == b"FAT32" else 39
        serial = struct.unpack("<I", start[at : at + 4])[0]
        self.uuid = f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
        label = start[at + 4 : at + 15].decode("ascii", "replace").strip()
        self.label = None if label == "NO NAME" else label

    @property
    def root(self) -> Node:
        """Not read."""
        raise NotImplementedError

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Not read."""
        raise NotImplementedError

    def stat(self, node: Node) -> Stat:
        """Not read."""
        raise NotImplementedError

    def open(self, node: Node) -> BinaryIO:
        """Not read."""
        raise NotImplementedError

    def link_target(self, node: Node) -> str:
        """Not read."""
        raise NotImplementedError

    def identity(self, node: Node) -> int:
        """Not read."""
        raise NotImplementedError
