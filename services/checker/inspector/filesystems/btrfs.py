# SPDX-License-Identifier: AGPL-3.0-or-later
"""btrfs on one device, with its subvolumes. Source: Linux, Documentation of the btrfs on-disk format (btrfs_tree.h)."""

import stat
import struct
import uuid
from collections.abc import Collection, Iterator
from functools import partial
from typing import BinaryIO, ClassVar

from filesystems.base import DIRECTORY_BYTES_MAX, LINK_BYTES_MAX, Beside, FileSystem, Node, Stat, step_by_step
from findings import Unreadable, attempt
from part import Part

SUPERBLOCK_AT = 65536
QUESTION_BYTES_MAX = 32 * 2**20
"""Nodes are read in steps of 64 KiB, whatever their size."""
SUBVOLUMES_MAX = 64
BESIDE_MAX = 1024
"""Subvolumes of one file system; a host of containers has hundreds."""
_PATH_MAX = 4096
_USUAL_ROOTS = ("@", "@rootfs", "root", "rootfs", "@root", "ROOT", "@/.snapshots/1/snapshot", "@os")
"""Where Ubuntu and SUSE, Debian, Fedora and others install the root."""
_TOP_LEVEL = 5
_XATTR_KEY = 24
_KNOWN_INCOMPATIBLE = 0x10FFF
_SYSTEM_CHUNKS_MAX = 2048
_LOG_ROOT_AT = 96


def is_it(part: Part) -> bool:
    """Tell by the magic."""
    return part.at(SUPERBLOCK_AT + 64, 8) == b"_BHRfS_M"


def open_it(part: Part) -> FileSystem:
    """Open it, at its default subvolume; raises `Unreadable` if its super block makes no sense."""
    block = part.at(SUPERBLOCK_AT, 4096)
    _judge_super_block(block, part.size)
    from filesystems.btrfs_parser import BoundedBtrfs

    part.seek(0)
    with part.one_question(QUESTION_BYTES_MAX):
        parser = BoundedBtrfs(part)
        found = BtrfsFileSystem(part, parser, parser.default_subvolume)
    found.uuid = str(uuid.UUID(bytes=block[32:48]))
    found.label = block[299:555].split(b"\0")[0].decode(errors="backslashreplace") or None
    if struct.unpack("<Q", block[_LOG_ROOT_AT : _LOG_ROOT_AT + 8])[0]:
        found.unfinished = "its log tree, what was synchronised since the last commit, is not replayed"
    return found


class BtrfsFileSystem(FileSystem):
    """A subvolume of a btrfs, with those beneath it unless it is `alone`; `number` is its id."""

    kind: ClassVar[str] = "btrfs"

    def __init__(self, part: Part, parser: Node, volume: Node, *, alone: bool = False) -> None:
        self._part, self._fs, self.number = part, parser, int(volume.objectid)
        self._root, self._alone = volume.root, alone

    @property
    def root(self) -> Node:
        """The top directory of the subvolume."""
        return self._root

    @property
    def device(self) -> object:
        """The parser, which all subvolumes share."""
        return self._fs

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries; subvolumes are directories."""
        if node.size > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        for name, child in step_by_step(self._part, self._fs.entries(node), QUESTION_BYTES_MAX):
            if not self._alone or child.subvolume.objectid == self.number:
                yield name, child

    def stat(self, node: Node) -> Stat:
        """Return the inode."""
        with self._part.one_question(QUESTION_BYTES_MAX):
            inode = node.inode
        return Stat(stat.S_IFMT(inode.mode), stat.S_IMODE(inode.mode), inode.uid, inode.gid, inode.size, inode.mtime.sec)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content."""
        with self._part.one_question(QUESTION_BYTES_MAX):
            return self._fs.open_file(node)  # type: ignore[no-any-return]

    def link_target(self, node: Node) -> str:
        """Return where the link points."""
        if node.size > LINK_BYTES_MAX:
            raise Unreadable("Malformed", f"a symbolic link of {node.size} bytes")
        return self.open(node).read(LINK_BYTES_MAX).decode(errors="surrogateescape")

    def identity(self, node: Node) -> tuple[int, int]:
        """Return the numbers of subvolume and inode."""
        return int(node.subvolume.objectid), int(node.inum)

    def xattrs(self, node: Node) -> dict[str, bytes]:
        """Return the extended attributes."""
        found: dict[str, bytes] = {}
        cursor = node.subvolume.tree.cursor()
        items = cursor.iter(node.inum, _XATTR_KEY, 0, ignore_offset=True)
        for _, data in step_by_step(self._part, items, QUESTION_BYTES_MAX):
            found.update(_xattrs(bytes(data)))
        return found

    def subvolume(self, options: str) -> "FileSystem":
        """Return the subvolume that mounting with fstab's `options` shows; raises `Unreadable` where there is none."""
        for option in options.split(","):
            name, _, value = option.partition("=")
            if name == "subvol":
                return self._at(value.strip("/"))
            if name == "subvolid" and value.isdigit():
                return self._with(self._fs.open_subvolume(int(value[:20]) or _TOP_LEVEL))
        return self

    def roots(self) -> Iterator[FileSystem]:
        """Yield the default subvolume, those where distributions put their root, the others of the top level, and it itself.

        The top level is the last even where it is the default: it holds all the others.
        """
        yield self
        seen = {self.number}
        top = self._with(self._fs.open_subvolume(_TOP_LEVEL))
        others = [name for name, child in top.children(top.root) if child.subvolume.objectid != _TOP_LEVEL]
        for name in (*_USUAL_ROOTS, *others[:SUBVOLUMES_MAX]):
            found = attempt(lambda name=name: self._at(name))  # type: ignore[misc]
            if isinstance(found, BtrfsFileSystem) and found.number not in {*seen, _TOP_LEVEL}:
                seen.add(found.number)
                yield found
        yield top

    def beside(self, mounted: Collection[FileSystem]) -> Iterator[Beside]:
        """Yield each subvolume that is not mounted, without those beneath it, under its path from the top level.

        Raises `Unreadable` in the end if there are more of them than anybody makes, or one that makes no sense.
        """
        shown = {one.number for one in mounted if isinstance(one, BtrfsFileSystem) and one.device is self.device}
        todo, seen, trouble = [(_TOP_LEVEL, "", False)], {_TOP_LEVEL}, None
        for number, path, is_entered in todo:
            opened = attempt(partial(self._alone_and_beneath, number))
            if isinstance(opened, Unreadable):
                trouble = trouble or opened
                continue
            view, beneath = opened
            if number not in shown:
                yield Beside(path, view, is_entered)
            for child, name in beneath:
                if child in seen:
                    continue
                if len(seen) >= BESIDE_MAX or len(path) > _PATH_MAX:
                    trouble = trouble or Unreadable("TooManySubvolumes", f"more than {BESIDE_MAX} subvolumes, or too deep ones")
                    break
                seen.add(child)
                todo.append((child, f"{path}/{name}".lstrip("/"), is_entered or number in shown))
        if trouble is not None:
            raise trouble

    def _alone_and_beneath(self, number: int) -> "tuple[BtrfsFileSystem, list[tuple[int, str]]]":
        """Return a subvolume without those beneath it, and number and path of each right beneath it."""
        volume, found = self._fs.open_subvolume(number), []
        alone = self._with(volume, alone=True)
        for child, folder, name in step_by_step(self._part, self._fs.beneath(number), QUESTION_BYTES_MAX):
            with self._part.one_question(QUESTION_BYTES_MAX):
                way = attempt(partial(self._fs.path_of, volume, folder))
            found.append((child, f"subvolume {child}" if isinstance(way, Unreadable) else f"{way}{name}"))
            if len(found) > BESIDE_MAX:
                break
        return alone, found

    def _with(self, volume: Node, *, alone: bool = False) -> "BtrfsFileSystem":
        with self._part.one_question(QUESTION_BYTES_MAX):
            found = BtrfsFileSystem(self._part, self._fs, volume, alone=alone)
        found.uuid, found.label, found.unfinished = self.uuid, self.label, self.unfinished
        return found

    def _at(self, path: str) -> "BtrfsFileSystem":
        """Return the subvolume at `path` beneath the top level; the way there has no links."""
        top = self._with(self._fs.open_subvolume(_TOP_LEVEL))
        node = top.root
        for part in filter(None, path.split("/")):
            node = next((child for name, child in top.children(node) if name == part), None)
            if node is None:
                raise Unreadable("NoSubvolume", f"there is no subvolume {path}")
        if node.inum != node.subvolume.root.inum:
            raise Unreadable("NoSubvolume", f"{path} is no subvolume")
        return self._with(node.subvolume)


def _xattrs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the attributes of one item: those whose names have one hash lie behind each other."""
    at = 0
    while at + 30 <= len(data):
        length, name_length = struct.unpack("<HH", data[at + 25 : at + 29])
        name_at = at + 30
        at = name_at + name_length + length
        if at <= len(data):
            yield data[name_at : name_at + name_length].decode(errors="surrogateescape"), data[at - length : at]


def _judge_super_block(block: bytes, size: int) -> None:
    if len(block) < 4096:
        raise Unreadable("Truncated", "the super block is cut off")
    devices, sector, node = struct.unpack("<QII", block[136:152])
    (chunks,) = struct.unpack("<I", block[160:164])
    (incompatible,) = struct.unpack("<Q", block[188:196])
    (device_bytes,) = struct.unpack("<Q", block[209:217])
    if any(not value or value & (value - 1) for value in (sector, node)) or not 4096 <= sector <= node <= 65536:
        raise Unreadable("SuperBlockMalformed", f"btrfs sectors of {sector} bytes, nodes of {node}")
    if not 97 <= chunks <= _SYSTEM_CHUNKS_MAX:
        raise Unreadable("SuperBlockMalformed", f"{chunks} bytes of system chunks")
    if devices != 1:
        raise Unreadable("SeveralDevices", f"a btrfs on {devices} devices is not read")
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        raise Unreadable("UnknownFeature", f"a btrfs with the incompatible features {incompatible:#x}")
    if device_bytes > size:
        raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
