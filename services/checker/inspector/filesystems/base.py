# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every file system offers. A node is whatever its parser uses for an inode: opaque to everybody else."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Any, BinaryIO, ClassVar, NamedTuple, TypeVar, cast

from part import QUESTION_BYTES_MAX, Part

LINK_BYTES_MAX = 4096
DIRECTORY_BYTES_MAX = 64 * 2**20

Node = Any
T = TypeVar("T")


def step_by_step(part: Part, items: Iterator[T], bytes_max: int = QUESTION_BYTES_MAX) -> Iterator[T]:
    """Yield `items`, each step of their parser a question of its own (`Part.one_question`)."""
    end = object()
    while True:
        with part.one_question(bytes_max):
            item = next(items, end)
        if item is end:
            return
        yield cast("T", item)


class Stat(NamedTuple):
    """An inode: its kind (`stat.S_IFMT`), permission bits with setuid and the like, owner, size in bytes, time of change in s."""

    kind: int
    permissions: int
    uid: int
    gid: int
    size: int
    mtime: int = 0


class Beside(NamedTuple):
    """What a device holds beside what is mounted: its name there, the view of it, and whether a walk from a mount enters it."""

    name: str
    files: "FileSystem"
    is_entered: bool = False


class FileSystem(ABC):
    """A file system inside a part of the disk, opened after its super block made sense.

    Nothing here follows links or bounds a walk: `Tree` does both. Every method may raise `Unreadable`, or whatever its parser
    raises on bytes that make no sense; `attempt` takes both.
    """

    kind: ClassVar[str]
    """Its name in fstab(5): ext4, xfs, btrfs, vfat, ntfs."""
    ignores_case: ClassVar[bool] = False
    is_read: ClassVar[bool] = True
    """Whether its files can be read, not only its label."""
    uuid: str | None = None
    label: str | None = None
    unfinished: str | None = None
    """Why what the first mount would still change could not be seen, a clause such as "its log tree is not replayed".

    None where nothing is outstanding, or where everything is read as it will be after that mount.
    """

    @property
    @abstractmethod
    def root(self) -> Node:
        """The top directory."""

    @property
    def device(self) -> object:
        """What tells file systems on different devices apart; subvolumes of one have the same."""
        return self

    @abstractmethod
    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries, `.` and `..` left out; names that are not UTF-8 with surrogates."""

    @abstractmethod
    def stat(self, node: Node) -> Stat:
        """Return the inode itself, links not followed: what the directory entry says may be a lie."""

    @abstractmethod
    def open(self, node: Node) -> BinaryIO:
        """Return the regular file's content, read on demand; its size is the inode's, whatever lies behind it."""

    @abstractmethod
    def link_target(self, node: Node) -> str:
        """Return where the symbolic link points, at most 4,096 bytes."""

    @abstractmethod
    def identity(self, node: Node) -> Hashable:
        """Return what tells the inode from every other of this file system: its number."""

    def xattrs(self, node: Node) -> Mapping[str, bytes]:  # noqa: ARG002 - file systems without them have none
        """Return the extended attributes by full name, such as `security.capability`."""
        return {}

    def subvolume(self, options: str) -> "FileSystem":  # noqa: ARG002 - only btrfs has them
        """Return what mounting with fstab's `options` shows; itself but for btrfs."""
        return self

    def roots(self) -> "Iterator[FileSystem]":
        """Yield what may be the system's root: itself, and for btrfs its subvolumes."""
        yield self

    def beside(self, mounted: "Collection[FileSystem]") -> Iterator[Beside]:
        """Yield what nobody sees through `mounted`: itself if none of them is on its device; for btrfs each other subvolume."""
        if all(one.device is not self.device for one in mounted):
            yield Beside("", self)
