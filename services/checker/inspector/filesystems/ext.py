# SPDX-License-Identifier: AGPL-3.0-or-later
"""ext2, ext3 and ext4. Source: Linux, Documentation/filesystems/ext4 (super block layout)."""

import struct
import uuid
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, cast

from filesystems.base import DIRECTORY_BYTES_MAX, LINK_BYTES_MAX, FileSystem, Node, Stat
from filesystems.ext_files import ExtentFile, runs_of
from filesystems.ext_tables import InodeTable, entries
from findings import Unreadable
from part import Part

SUPERBLOCK_AT = 1024
_INCOMPAT_JOURNAL_DEVICE = 0x8
_INCOMPAT_ENCRYPT = 0x10000
_INCOMPAT_FILETYPE = 0x2
_INCOMPAT_64BIT = 0x80
_EXTENTS_FLAG = 0x80000
_MAPPED_BYTES_MAX = 4 * 2**30
"""Of a file without extents the parser lists every block: beyond this that takes too much memory."""


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

        self._part = part
        part.seek(0)
        self._fs = ExtFS(part)
        incompat = struct.unpack("<I", block[96:100])[0]
        self._typed = bool(incompat & _INCOMPAT_FILETYPE)
        self._inodes = InodeTable(
            part,
            block_bytes=self._fs.block_size,
            inode_bytes=self._fs.sb.s_inode_size if struct.unpack("<I", block[76:80])[0] else 128,
            inodes_per_group=self._fs.sb.s_inodes_per_group,
            groups_at=self._fs.groups_offset,
            group_bytes=self._fs._group_desc_size,  # noqa: SLF001 - beside the parser, on the same table
            wide=bool(incompat & _INCOMPAT_64BIT) and self._fs._group_desc_size >= 64,  # noqa: SLF001 - as above
        )

    @property
    def root(self) -> Node:
        """The top directory."""
        return self._fs.root

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries."""
        size = self.stat(node).size
        if size > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        with self._part.one_question():
            data = self.open(node).read(size)
        for name, number in entries(data, block_bytes=self._fs.block_size, inodes=self._fs.sb.s_inodes_count, typed=self._typed):
            yield name, self._fs.get_inode(number, name)

    def stat(self, node: Node) -> Stat:
        """Return the inode."""
        return self._inodes.stat(node.inum)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content."""
        inode = self._inodes.mapping(node.inum)
        if inode.flags & _EXTENTS_FLAG:
            with self._part.one_question():
                runs = runs_of(self._part, inode.i_block, self._fs.block_size)
            return cast("BinaryIO", ExtentFile(self._part, runs, self.stat(node).size, self._fs.block_size))
        self._judge_blocks(node)
        with self._part.one_question():
            return node.open()  # type: ignore[no-any-return]

    def _judge_blocks(self, node: Node) -> None:
        if not node.inode.i_flags & _EXTENTS_FLAG and node.size > _MAPPED_BYTES_MAX:
            raise Unreadable("FileTooLarge", f"a file without extents of more than {_MAPPED_BYTES_MAX} bytes")

    def link_target(self, node: Node) -> str:
        """Return where the link points."""
        target: bytes = self.open(node).read(min(node.size, LINK_BYTES_MAX))
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
