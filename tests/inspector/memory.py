"""A file system in memory behind the inspector's own interface, so that items are judged in microseconds and not on disks.

The inspector is a program of its own: its modules go by their bare names once its folder is on the path, as importing this does.
"""

import io
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

from services.checker.adapters.inspector_process import PROGRAM

if str(PROGRAM) not in sys.path:
    sys.path.append(str(PROGRAM))

from containers import Header
from facts import Facts
from filesystems.base import FileSystem, Stat
from tree import Tree
from volumes.volume import Partition, Volume


@dataclass(frozen=True)
class File:
    """A regular file, or with `link` a symbolic link, with its owner and permissions."""

    data: bytes = b""
    permissions: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    mtime: int = 0


class MemoryFileSystem(FileSystem):
    """Files by path; directories are there because something is in them."""

    kind: ClassVar[str] = "ext4"
    top_level: FileSystem | None = None

    def __init__(self, files: Mapping[str, File | bytes | str], *, uuid: str | None = None, label: str | None = None) -> None:
        self.uuid, self.label = uuid, label
        self._tree: dict[str, File | dict[str, str]] = {"/": {}}
        for path, content in files.items():
            self._add("/" + path.strip("/"), content if isinstance(content, File) else _file(content))

    def _add(self, path: str, file: File) -> None:
        parent, _, name = path.rpartition("/")
        directory = self._directory(parent or "/")
        directory[name] = path
        self._tree[path] = file

    def _directory(self, path: str) -> dict[str, str]:
        if path not in self._tree:
            parent, _, name = path.rpartition("/")
            self._directory(parent or "/")[name] = path
            self._tree[path] = {}
        found = self._tree[path]
        assert isinstance(found, dict), path
        return found

    @property
    def root(self) -> str:
        return "/"

    def children(self, node: str) -> Iterator[tuple[str, str]]:
        yield from self._directory(node).items()

    def stat(self, node: str) -> Stat:
        found = self._tree[node]
        if isinstance(found, dict):
            return Stat(stat.S_IFDIR, 0o755, 0, 0, 0)
        kind = stat.S_IFREG if found.link is None else stat.S_IFLNK
        return Stat(kind, found.permissions, found.uid, found.gid, len(found.data), found.mtime)

    def open(self, node: str) -> BinaryIO:
        found = self._tree[node]
        assert isinstance(found, File)
        return io.BytesIO(found.data)

    def subvolume(self, options: str) -> FileSystem:
        return self.top_level if self.top_level is not None and options == "subvolid=5" else self

    def link_target(self, node: str) -> str:
        found = self._tree[node]
        assert isinstance(found, File)
        return found.link or ""

    def identity(self, node: str) -> str:
        return node

    def xattrs(self, node: str) -> Mapping[str, bytes]:
        found = self._tree[node]
        return found.xattrs if isinstance(found, File) else {}


def _file(content: bytes | str) -> File:
    return File(content if isinstance(content, bytes) else content.encode())


def facts_of(files: Mapping[str, File | bytes | str], *, kind: str = "ext4") -> Facts:
    """Return the facts of a system whose root file system holds `files` and fills the whole disk."""
    system = MemoryFileSystem(files, uuid="11111111-2222-4333-8444-555555555555", label="system")
    volume = Volume(Partition(1, 0, 1 << 30), kind, system.uuid, system.label, system)
    return Facts(Header("raw", 1 << 30, 1 << 30), volumes=[volume], root=volume, tree=Tree(system))
