# SPDX-License-Identifier: AGPL-3.0-or-later
"""XFS, versions 4 and 5. Source: XFS Algorithms and Data Structures, 3rd edition (super block, attribute forks)."""

import stat
import struct
import uuid
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, cast

from filesystems.base import DIRECTORY_BYTES_MAX, LINK_BYTES_MAX, FileSystem, Node, Stat, step_by_step
from filesystems.xfs_recovery import recovered
from findings import Unreadable
from part import Part

_KNOWN_INCOMPATIBLE = 0xFF
"""ftype, sparse inodes, metadata UUID, bigtime, needs repair, large extent counts, exchange range, parent pointers."""
_LOCAL, _EXTENTS, _TREE = 1, 2, 3
_ROOT, _SECURE, _IN_LEAF = 2, 4, 1
_PREFIXES = {0: "user.", _ROOT: "trusted.", _SECURE: "security."}
_LEAF_4, _LEAF_5 = 0xFBEE, 0x3BEE


def is_it(part: Part) -> bool:
    """Tell by the magic."""
    return part.at(0, 4) == b"XFSB"


def open_it(part: Part) -> FileSystem:
    """Open it; raises `Unreadable` if its super block makes no sense."""
    return XfsFileSystem(part)


class XfsFileSystem(FileSystem):
    """An XFS file system."""

    kind: ClassVar[str] = "xfs"

    def __init__(self, part: Part) -> None:
        block = part.at(0, 512)
        _judge_super_block(block, part.size)
        part, self.unfinished = recovered(part, block)
        block = part.at(0, 512)
        _judge_super_block(block, part.size)
        self.uuid = str(uuid.UUID(bytes=block[32:48]))
        self.label = block[108:120].split(b"\0")[0].decode(errors="backslashreplace") or None
        from dissect.xfs.xfs import XFS

        self._part, self._block_bytes = part, struct.unpack(">I", block[4:8])[0]
        part.seek(0)
        with part.one_question():
            self._fs = XFS(part)
        self._groups = self._fs.get_allocation_group
        self._fs.get_allocation_group = self._group

    def _group(self, number: int) -> Node:
        """Return an allocation group, which is laid out as the first super block says: Linux looks at no copy of it."""
        group = self._groups(number)
        group.sb, group._inum_bits = self._fs.sb, self._fs._inum_bits  # noqa: SLF001 - the parser's own takes the copy's
        return group

    @property
    def root(self) -> Node:
        """The top directory."""
        return self._fs.root

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries."""
        if node.size > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        for child in step_by_step(self._part, node.iterdir()):
            if child.filename not in {".", ".."}:
                yield child.filename, child

    def stat(self, node: Node) -> Stat:
        """Return the inode; raises `Unreadable` for one without links, which Linux may free as soon as it replays a log."""
        inode = node.inode
        if inode.di_version > 1 and not inode.di_nlink:
            raise Unreadable("Malformed", "a directory has an entry for an inode without links")
        mode = inode.di_mode
        return Stat(stat.S_IFMT(mode), stat.S_IMODE(mode), inode.di_uid, inode.di_gid, node.size, node.mtime_ns // 10**9)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content; what was allocated and never written is zeros, as Linux shows it."""
        with self._part.one_question():
            if node.inode.di_format not in (_EXTENTS, _TREE):
                return node.open()  # type: ignore[no-any-return]
            from dissect.util.stream import RunlistStream

            return cast("BinaryIO", RunlistStream(self._fs.fh, self._runs(node), node.size, self._block_bytes))

    def _runs(self, node: Node) -> list[tuple[int | None, int]]:
        """Return the file's blocks as runs: the first block, None for zeros, and how many."""
        runs: list[tuple[int | None, int]] = []
        log, behind = self._fs.sb.sb_agblklog, 0
        for offset, block, count, is_unwritten in node._iter_blocks():  # noqa: SLF001 - its public method leaves out the last
            if offset < behind:
                raise Unreadable("Malformed", "a file's extents overlap")
            if offset > behind:
                runs.append((None, offset - behind))
            place = (block >> log) * self._fs.sb.sb_agblocks + (block & ((1 << log) - 1))
            runs.append((None if is_unwritten else place, count))
            behind = offset + count
        blocks = -(-node.size // self._block_bytes)
        return [*runs, (None, blocks - behind)] if behind < blocks else runs

    def link_target(self, node: Node) -> str:
        """Return where the link points."""
        if node.size > LINK_BYTES_MAX:
            raise Unreadable("Malformed", f"a symbolic link of {node.size} bytes")
        with self._part.one_question():
            return str(node.link)

    def identity(self, node: Node) -> int:
        """Return the inode's number."""
        return int(node.inum)

    def xattrs(self, node: Node) -> dict[str, bytes]:
        """Return the extended attributes, from the inode or its one leaf; raises `Unreadable` for more leaves than one."""
        inode = node.inode
        if not inode.di_forkoff:
            return {}
        with self._part.one_question():
            fork = node.attrfork().read()
            if inode.di_aformat == _LOCAL:
                return dict(_short_form(fork))
            if inode.di_aformat == _EXTENTS:
                return dict(_leaf(self._first_block(fork))) if node.attr_extents else {}
        raise Unreadable("NotRead", "extended attributes in a tree are not read")

    def _first_block(self, fork: bytes) -> bytes:
        high, low = struct.unpack(">QQ", fork[:16])
        number = (high & 0x1FF) << 43 | low >> 21
        log = self._fs.sb.sb_agblklog
        group, within = number >> log, number & ((1 << log) - 1)
        return self._part.at((group * self._fs.sb.sb_agblocks + within) * self._block_bytes, self._block_bytes)


def _short_form(fork: bytes) -> Iterator[tuple[str, bytes]]:
    at = 4
    for _ in range(fork[2]):
        name_length, length, flags = fork[at : at + 3]
        name_at = at + 3
        at = name_at + name_length + length
        prefix = _PREFIXES.get(flags & (_ROOT | _SECURE))
        if prefix is not None and at <= len(fork):
            yield prefix + fork[name_at : name_at + name_length].decode(errors="surrogateescape"), fork[at - length : at]


def _leaf(block: bytes) -> Iterator[tuple[str, bytes]]:
    magic = struct.unpack(">H", block[8:10])[0]
    if magic not in (_LEAF_4, _LEAF_5):
        raise Unreadable("NotRead", "extended attributes in a tree are not read")
    count_at, entries_at = (56, 80) if magic == _LEAF_5 else (12, 32)
    (count,) = struct.unpack(">H", block[count_at : count_at + 2])
    for at in range(entries_at, min(entries_at + count * 8, len(block) - 7), 8):
        place, flags = struct.unpack(">HB", block[at + 4 : at + 7])
        prefix = _PREFIXES.get(flags & (_ROOT | _SECURE))
        if not flags & _IN_LEAF or prefix is None or place + 3 > len(block):
            continue  # values too long for a leaf are no capabilities
        length, name_length = struct.unpack(">HB", block[place : place + 3])
        name_end = place + 3 + name_length
        yield prefix + block[place + 3 : name_end].decode(errors="surrogateescape"), block[name_end : name_end + length]


def _judge_super_block(block: bytes, size: int) -> None:
    if len(block) < 512:
        raise Unreadable("Truncated", "the super block is cut off")
    block_bytes, blocks = struct.unpack(">IQ", block[4:16])
    (realtime,) = struct.unpack(">Q", block[16:24])
    group_blocks, groups = struct.unpack(">II", block[84:92])
    version, sector, inode_bytes, inodes_per_block = struct.unpack(">HHHH", block[100:108])
    inode_log, group_log, directory_log = block[123], block[124], block[192]
    (incompatible,) = struct.unpack(">I", block[216:220])
    is_power = all(value and not value & (value - 1) for value in (block_bytes, sector, inode_bytes))
    if not is_power or not 512 <= block_bytes <= 65536 or not 512 <= sector <= 32768 or not 256 <= inode_bytes <= 2048:
        raise Unreadable("SuperBlockMalformed", f"blocks of {block_bytes}, sectors of {sector}, inodes of {inode_bytes} bytes")
    if inodes_per_block * inode_bytes != block_bytes or 1 << inode_log != inodes_per_block:
        raise Unreadable("SuperBlockMalformed", "the super block's numbers of inodes do not fit each other")
    if not 1 << group_log >> 1 < group_blocks <= 1 << group_log or not groups or group_log > 31:
        raise Unreadable("SuperBlockMalformed", f"{groups} allocation groups of {group_blocks} blocks")
    if blocks * block_bytes > size or (groups - 1) * group_blocks >= blocks:
        raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
    if version & 15 not in (4, 5) or directory_log or realtime or (version & 15 == 5 and incompatible & ~_KNOWN_INCOMPATIBLE):
        raise Unreadable(
            "UnknownFeature", "an XFS with features that are not read (realtime, directory blocks of several blocks)"
        )
