# SPDX-License-Identifier: AGPL-3.0-or-later
"""ext2/3/4 inside a partition, read with bounds on bytes, entries and links; symlinks are resolved inside the image.

Source: Linux, Documentation/filesystems/ext4 (super block layout).
"""

import stat
import struct
from collections.abc import Iterator

from disk import Part
from findings import FileText, Unreadable

SUPERBLOCK_AT = 1024
FILE_BYTES_MAX = 256 * 1024
ENTRIES_MAX = 100_000
LINKS_MAX = 40
DEPTH_MAX = 64
_LINK_BYTES_MAX = 4096
_INCOMPAT_JOURNAL_DEVICE = 0x8
_INCOMPAT_ENCRYPT = 0x10000


def is_ext(part: Part) -> bool:
    """Whether the part holds an ext2, ext3 or ext4 file system."""
    part.seek(SUPERBLOCK_AT + 56)
    return part.read(2) == b"\x53\xef"


class ExtFileSystem:
    """A file system, opened after its super block made sense. Raises `Unreadable` if it does not."""

    def __init__(self, part: Part) -> None:
        part.seek(SUPERBLOCK_AT)
        block = part.read(1024)
        _judge_super_block(block, part.size)
        self.uuid = _uuid(block[104:120])
        self.label = block[120:136].split(b"\0")[0].decode(errors="backslashreplace")
        from dissect.extfs.extfs import ExtFS

        part.seek(0)
        self._fs = ExtFS(part)
        self._entries_left = ENTRIES_MAX

    def _children(self, node: object) -> dict[str, object]:
        if node.size > 64 * 2**20:  # type: ignore[attr-defined]
            raise Unreadable("DirectoryTooLarge", "a directory of more than 64 MiB")
        found: dict[str, object] = {}
        for child in node.iterdir():  # type: ignore[attr-defined]
            self._entries_left -= 1
            if self._entries_left < 0:
                raise Unreadable("TooManyEntries", f"more than {ENTRIES_MAX} directory entries on the way to what was looked for")
            found.setdefault(child.filename, child)
        return found

    def _walk(self, path: str) -> tuple[object, str] | None:
        """Return the inode at `path` and its path without links; None where there is nothing."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        trail: list[tuple[str, object]] = [("", self._fs.root)]
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                # Above the root is the root: a link never leads out of the image.
                if len(trail) > 1:
                    trail.pop()
                continue
            if len(trail) > DEPTH_MAX:
                raise Unreadable("PathTooDeep", f"a path of more than {DEPTH_MAX} steps")
            parent = trail[-1][1]
            if _kind(parent) != stat.S_IFDIR:
                return None
            child = self._children(parent).get(name)
            if child is None:
                return None
            if _kind(child) == stat.S_IFLNK:
                links += 1
                if links > LINKS_MAX:
                    raise Unreadable("LinkLoop", f"more than {LINKS_MAX} symbolic links on the way to one file")
                target = self._read(child, _LINK_BYTES_MAX).decode(errors="surrogateescape")
                if target.startswith("/"):
                    del trail[1:]
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                continue
            trail.append((name, child))
        return trail[-1][1], "/" + "/".join(name for name, _ in trail[1:])

    def _read(self, node: object, limit: int) -> bytes:
        return node.open().read(min(node.size, limit))  # type: ignore[attr-defined,no-any-return]

    def exists(self, path: str) -> bool:
        """Whether there is anything at `path`, links followed."""
        return self._walk(path) is not None

    def read_text(self, path: str) -> FileText | None:
        """Return the regular file at `path`; None where there is none. Raises `Unreadable` if it is over 256 KiB."""
        found = self._walk(path)
        if found is None or _kind(found[0]) != stat.S_IFREG:
            return None
        if found[0].size > FILE_BYTES_MAX:  # type: ignore[attr-defined]
            raise Unreadable("FileTooLarge", f"{path} has more than {FILE_BYTES_MAX} bytes")
        return FileText(found[1], self._read(found[0], FILE_BYTES_MAX))

    def read_head(self, path: str, length: int) -> bytes | None:
        """Return the first `length` bytes of the regular file at `path`; None where there is none."""
        found = self._walk(path)
        if found is None or _kind(found[0]) != stat.S_IFREG:
            return None
        return self._read(found[0], length)

    def names(self, path: str) -> Iterator[str]:
        """Return the names in the directory at `path`, sorted; nothing where there is none."""
        found = self._walk(path)
        if found is not None and _kind(found[0]) == stat.S_IFDIR:
            yield from sorted(name for name in self._children(found[0]) if name not in (".", ".."))


def _kind(node: object) -> int:
    # The inode's own mode: what the directory entry says may be a lie.
    return stat.S_IFMT(node.inode.i_mode)  # type: ignore[attr-defined,no-any-return]


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


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
