# SPDX-License-Identifier: AGPL-3.0-or-later
"""ext2, ext3 and ext4. Source: Linux, Documentation/filesystems/ext4 (super block layout)."""

import stat
import struct
import uuid
from collections.abc import Iterator
from typing import BinaryIO, ClassVar

from filesystems.base import DIRECTORY_BYTES_MAX, LINK_BYTES_MAX, FileSystem, Node, Stat
from findings import Unreadable
from part import Part

SUPERBLOCK_AT = 1024
_INCOMPAT_JOURNAL_DEVICE = 0x8
_INCOMPAT_ENCRYPT = 0x10000


def is_it(part: Part) -> bool:
    """Tell by the magic."""
    return part.at(SUPERBLOCK_AT + 56, 2) == b"\x53\xef"


def open_it(part: Part) -> FileSystem:
    """Open it; raises `Unreadable` if its super block makes no sense."""
    return ExtFileSystem(part)


class ExtFileSystem(FileSystem):
    """An ext file system."""

    kind: ClassVar[str] = "ext4"

    def __init__(self, part: Part) -> None:
        block = part.at(SUPERBLOCK_AT, 1024)
        _judge_super_block(block, part.size)
        self.uuid = str(uuid.UUID(bytes=block[104:120]))
        self.label = block[120:136].split(b"\0")[0].decode(errors="backslashreplace")
        from dissect.extfs.extfs import ExtFS

        part.seek(0)
        self._fs = ExtFS(part)

    @property
    def root(self) -> Node:
        """The top directory."""
        return self._fs.root

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries."""
        if node.size > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        for child in node.iterdir():
            if child.filename not in {".", ".."}:
                yield child.filename, child

    def stat(self, node: Node) -> Stat:
        """Return the inode."""
        inode = node.inode
        uid = inode.i_uid | inode.i_uid_high << 16
        gid = inode.i_gid | inode.i_gid_high << 16
        mode = inode.i_mode
        return Stat(stat.S_IFMT(mode), stat.S_IMODE(mode), uid, gid, node.size, inode.i_mtime)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content."""
        return node.open()  # type: ignore[no-any-return]

    def link_target(self, node: Node) -> str:
        """Return where the link points."""
        target: bytes = node.open().read(min(node.size, LINK_BYTES_MAX))
        return target.decode(errors="surrogateescape")

    def identity(self, node: Node) -> int:
        """Return the inode's number."""
        return int(node.inum)

    def xattrs(self, node: Node) -> dict[str, bytes]:
        """Return the extended attributes."""
        return {one.name: one.value for one in node.xattr}


def _judge_super_block(block: bytes, size: int) -> None:
    if len(block) < 1024:
        raise Unreadable("Truncated", "the super block is cut off")
    inodes, blocks = struct.unpack("<II", block[0:8])
    first, log_block = struct.unpack("<II", block[20:28])
    per_group, inodes_per_group = struct.unpack("<I", block[32:36])[0], struct.unpack("<I", block[40:44])[0]
    inode_size, incompat = struct.unpack("<H", block[88:90])[0], struct.unpack("<I", block[96:100])[0]
    if log_block > 6 or not per_group or not inodes_per_group or inodes < 11 or first > 1:
        raise Unreadable("SuperBlockMalformed", "the super block's sizes make no sense")
    if inode_size not in (128, 256, 512, 1024, 2048, 4096) and struct.unpack("<I", block[76:80])[0] > 0:
        raise Unreadable("SuperBlockMalformed", f"inodes of {inode_size} bytes")
    if blocks * (1024 << log_block) > size + (1024 << log_block):
        raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
    if incompat & _INCOMPAT_JOURNAL_DEVICE:
        raise Unreadable("JournalDevice", "the device is the journal of another file system")
    if incompat & _INCOMPAT_ENCRYPT:
        raise Unreadable("Encrypted", "the file system has encrypted directories")
