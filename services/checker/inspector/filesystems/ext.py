# SPDX-License-Identifier: AGPL-3.0-or-later
"""ext2, ext3 and ext4. Source: Linux, Documentation/filesystems/ext4 (super block layout).

Our own reader: dissect.extfs 3.15 gives the first 60 bytes of inline data for all of it, follows a missing block of pointers to
block 0, asks neither whether extents are in order nor how long an attribute may be, and takes a tenth of a second to begin with.
The tests compare the two.
"""

import io
import stat
import struct
import uuid
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, cast

from filesystems.base import DIRECTORY_BYTES_MAX, LINK_BYTES_MAX, FileSystem, Node, Stat
from filesystems.ext_attributes import in_block, in_inode
from filesystems.ext_blocks import Blocks, is_leaf
from filesystems.ext_files import MappedFile
from filesystems.ext_journal import Journal, journal_of
from filesystems.ext_tables import InodeTable, entries
from findings import Unreadable, attempt
from part import Part

SUPERBLOCK_AT = 1024
_INCOMPAT_JOURNAL_DEVICE = 0x8
_INCOMPAT_ENCRYPT = 0x10000
_INCOMPAT_FILETYPE = 0x2
_INCOMPAT_64BIT = 0x80
_INCOMPAT_READ = 0xE7C6
"""File types, a journal to replay, extents, 64 bits, multi-mount protection, flexible groups, attributes in inodes, a seed of
checksums, large directories, inline data. Not among them: compression, descriptors in groups of their own, names in any case."""
_ROOT_INODE = 2
_GROUP_BYTES = 32
"""A group descriptor's, unless 64 bits make it larger."""
_EXTENTS_FLAG = 0x80000
_INLINE_FLAG = 0x10000000
_INLINE_BYTES_MAX = 64 * 1024
_MAP_BYTES = 60
_MAPPED_BYTES_MAX = 4 * 2**30
"""Of a file without extents every block is listed: beyond this that takes too much memory."""


def is_it(part: Part) -> bool:
    """Tell by the magic."""
    return part.at(SUPERBLOCK_AT + 56, 2) == b"\x53\xef"


def open_it(part: Part) -> FileSystem:
    """Open it as its first mount leaves it; raises `Unreadable` if its super block makes no sense."""
    found = ExtFileSystem(part)
    after = attempt(found.after_replay)
    if isinstance(after, Unreadable):
        found.unfinished = f"its journal is not replayed: {after}"
        return found
    return after


class ExtFileSystem(FileSystem):
    """An ext file system."""

    kind: ClassVar[str] = "ext4"

    def __init__(self, part: Part) -> None:
        self._super_block = block = part.at(SUPERBLOCK_AT, 1024)
        _judge_super_block(block, part.size)
        self.uuid = str(uuid.UUID(bytes=block[104:120]))
        self.label = block[120:136].split(b"\0")[0].decode(errors="backslashreplace")
        self._part = part
        incompat = struct.unpack("<I", block[96:100])[0]
        wide, self._typed = bool(incompat & _INCOMPAT_64BIT), bool(incompat & _INCOMPAT_FILETYPE)
        self._inodes_count, blocks_count = struct.unpack("<II", block[0:8])
        blocks_count |= struct.unpack("<I", block[336:340])[0] << 32 if wide else 0
        block_bytes = 1024 << struct.unpack("<I", block[24:28])[0]
        self._blocks = Blocks(part, block_bytes, blocks_count)
        self._inodes = InodeTable(
            part,
            block_bytes=block_bytes,
            inode_bytes=struct.unpack("<H", block[88:90])[0] if struct.unpack("<I", block[76:80])[0] else 128,
            inodes_per_group=struct.unpack("<I", block[40:44])[0],
            # In the block behind the super block's.
            groups_at=(SUPERBLOCK_AT // block_bytes + 1) * block_bytes,
            group_bytes=struct.unpack("<H", block[254:256])[0] if wide else _GROUP_BYTES,
            wide=wide,
        )

    def after_replay(self) -> "ExtFileSystem":
        """Return it as it is once its journal is written back; itself where nothing is. Raises `Unreadable`."""
        journal = self._journal()
        part = None if journal is None else journal.replayed()
        if part is None:
            return self
        after = ExtFileSystem(part)
        if after._journal() != journal:
            # Linux goes on by what was there before, until the next start.
            raise Unreadable("JournalChangesLayout", "it holds changes of the journal itself, or of how all the rest is read")
        return after

    def _journal(self) -> Journal | None:
        return journal_of(self._super_block, self._inodes, self._blocks)

    @property
    def root(self) -> Node:
        """The top directory."""
        return _ROOT_INODE

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries."""
        size = self.stat(node).size
        if size > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        for data, block_bytes in self._directory(node):
            yield from entries(data, block_bytes=block_bytes, inodes=self._inodes_count, typed=self._typed)

    def _directory(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yield the directory's content, and how long a block of it is that no entry leaves."""
        if not self._inodes.mapping(node).flags & _INLINE_FLAG:
            # Not yielded from within: while a walk waits for the next entry, reading files is no part of the question.
            with self._part.one_question():
                data = self.open(node).read(self.stat(node).size)
            yield data, self._blocks.size
            return
        # In the inode itself: the number of its parent, entries in the rest of the map, and more in an attribute.
        data = self._inline(node)
        yield data[4:_MAP_BYTES], _MAP_BYTES - 4
        if len(data) > _MAP_BYTES:
            yield data[_MAP_BYTES:], len(data) - _MAP_BYTES

    def stat(self, node: Node) -> Stat:
        """Return the inode."""
        return self._inodes.stat(node)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content."""
        facts, mapping = self._inodes.both(node)
        size, extents = facts.size, bool(mapping.flags & _EXTENTS_FLAG)
        if mapping.flags & _INLINE_FLAG:
            return io.BytesIO(self._inline(node))
        if facts.kind == stat.S_IFLNK and size < _MAP_BYTES:
            return io.BytesIO(mapping.i_block[:size])
        if not extents and size > _MAPPED_BYTES_MAX:
            raise Unreadable("FileTooLarge", f"a file without extents of more than {_MAPPED_BYTES_MAX} bytes")
        length = -(-size // self._blocks.size)
        if extents and is_leaf(mapping.i_block):  # as most are: nothing else is read
            runs = self._blocks.runs(mapping.i_block, length, extents=True)
        else:
            with self._part.one_question():
                runs = self._blocks.runs(mapping.i_block, length, extents=extents)
        return cast("BinaryIO", MappedFile(self._part, runs, size, self._blocks.size))

    def _inline(self, node: Node) -> bytes:
        """Return content that lies in the inode: in its map, and the rest in an attribute."""
        facts, mapping = self._inodes.both(node)
        size, data = facts.size, mapping.i_block
        if size > _INLINE_BYTES_MAX:
            raise Unreadable("InlineDataDamaged", f"a file of {size} bytes inside its inode")
        if size > _MAP_BYTES:
            data += self.xattrs(node).get("system.data", b"")
        if len(data) < size:
            raise Unreadable("InlineDataDamaged", f"{len(data)} bytes in an inode that is to hold {size}")
        return data[:size]

    def link_target(self, node: Node) -> str:
        """Return where the link points."""
        target = self.open(node).read(LINK_BYTES_MAX)
        return target.decode(errors="surrogateescape")

    def identity(self, node: Node) -> int:
        """Return the inode's number."""
        return int(node)

    def xattrs(self, node: Node) -> dict[str, bytes]:
        """Return the extended attributes."""
        raw = self._inodes.raw(node)
        with self._part.one_question():
            found = dict(in_inode(raw, self._value))
            if number := struct.unpack_from("<I", raw, 104)[0] | struct.unpack_from("<H", raw, 118)[0] << 32:
                found.update(in_block(self._blocks.read(number), self._value))
        return found

    def _value(self, number: int, size: int) -> bytes:
        """Return the value of an attribute that is the content of an inode of its own."""
        if not 0 < number <= self._inodes_count:
            raise Unreadable("AttributesDamaged", f"an extended attribute in inode {number}, which there is not")
        facts, mapping = self._inodes.both(number)
        if mapping.flags & _INLINE_FLAG or facts.size < size:
            raise Unreadable("AttributesDamaged", f"an extended attribute of {size} bytes in inode {number}, which is shorter")
        return self.open(number).read(size)


def _judge_super_block(block: bytes, size: int) -> None:
    if len(block) < 1024:
        raise Unreadable("Truncated", "the super block is cut off")
    inodes, blocks = struct.unpack("<II", block[0:8])
    first, log_block = struct.unpack("<II", block[20:28])
    per_group, inodes_per_group = struct.unpack("<I", block[32:36])[0], struct.unpack("<I", block[40:44])[0]
    inode_size, incompat = struct.unpack("<H", block[88:90])[0], struct.unpack("<I", block[96:100])[0]
    if log_block > 6 or not per_group or not inodes_per_group or inodes < 11 or first > 1:
        raise Unreadable("SuperBlockMalformed", "the super block's sizes make no sense")
    if (inode_size not in (128, 256, 512, 1024, 2048, 4096) or inode_size > 1024 << log_block) and struct.unpack(
        "<I", block[76:80]
    )[0]:
        raise Unreadable("SuperBlockMalformed", f"inodes of {inode_size} bytes")
    if incompat & _INCOMPAT_64BIT and struct.unpack("<H", block[254:256])[0] not in (64, 128, 256, 512, 1024):
        raise Unreadable("SuperBlockMalformed", "the sizes of its group descriptors make no sense")
    if blocks * (1024 << log_block) > size + (1024 << log_block):
        raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
    if incompat & _INCOMPAT_JOURNAL_DEVICE:
        raise Unreadable("JournalDevice", "the device is the journal of another file system")
    if incompat & _INCOMPAT_ENCRYPT:
        raise Unreadable("Encrypted", "the file system has encrypted directories")
    if incompat & ~_INCOMPAT_READ:
        # The kernel refuses what it does not know, and reads the rest differently from how it would be read here.
        raise Unreadable("FeatureNotRead", f"ext features {incompat & ~_INCOMPAT_READ:#x} are not read; make it without them")
