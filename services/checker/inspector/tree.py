# SPDX-License-Identifier: AGPL-3.0-or-later
"""The files of the system in the image: its root and what fstab mounts, links resolved inside, all of it bounded."""

import stat
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from filesystems.base import FileSystem, Node, Stat
from findings import FileText, Unreadable

FILE_BYTES_MAX = 256 * 1024
ENTRIES_MAX = 2_000_000
LINKS_MAX = 40
DEPTH_MAX = 64
WALK_DEPTH_MAX = 256
"""Deeper than any system's own files, and than what is asked for by path: what lies there is found too."""
NAMES_OF_A_DIRECTORY_MAX = 8
_CACHED_DIRECTORIES_MAX = 512
_CACHED_ENTRIES_MAX = 4096


class Found(NamedTuple):
    """Something at a path, links resolved: its own path, its inode."""

    path: str
    files: FileSystem
    node: Node

    def stat(self) -> Stat:
        """Return the inode."""
        return self.files.stat(self.node)

    def open(self) -> BinaryIO:
        """Return the regular file's content, read on demand."""
        return self.files.open(self.node)

    def read(self, length: int) -> bytes:
        """Return the first `length` bytes, or all there are."""
        return self.open().read(min(length, self.stat().size))


class Tree:
    """The root file system and what is mounted on it. Paths are absolute; what is not there is None, what cannot be read raises.

    Every directory entry that is looked at counts towards `entries_max`, which no real system reaches.
    """

    def __init__(self, root: FileSystem, *, entries_max: int = ENTRIES_MAX) -> None:
        self.root = root
        self._mounts: dict[str, FileSystem] = {}
        self._mounted_in: dict[str, set[str]] = {}
        self._entries_left = entries_max
        self._cache: dict[str, dict[str, Node]] = {}

    def mount(self, path: str, files: FileSystem) -> None:
        """Show `files` at `path` from now on, whether or not there is such a directory."""
        path = "/" + path.strip("/")
        folder, slash, name = path.rpartition("/")
        self._mounted_in.setdefault(folder + slash, set()).add(name)
        self._mounts[path] = files
        self._cache.clear()

    @property
    def file_systems(self) -> dict[str, FileSystem]:
        """The file systems by where they are mounted, the root first."""
        return {"/": self.root, **self._mounts}

    def find(self, path: str, *, follow: bool = True) -> Found | None:
        """Return what is at `path`; the last component's own link is followed unless `follow` is false."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        trail = [Found("/", self.root, self.root.root)]
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
            child = self._child(trail[-1], name)
            if child is None:
                return None
            if (follow or todo) and child.stat().kind == stat.S_IFLNK:
                links += 1
                if links > LINKS_MAX:
                    raise Unreadable("LinkLoop", f"more than {LINKS_MAX} symbolic links on the way to one file")
                target = child.files.link_target(child.node)
                if target.startswith("/"):
                    del trail[1:]
                todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                continue
            trail.append(child)
        return trail[-1]

    def _child(self, parent: Found, name: str) -> Found | None:
        path = f"{parent.path.rstrip('/')}/{name}"
        mounted = self._mounts.get(path)
        if mounted is not None:
            return Found(path, mounted, mounted.root)
        if parent.stat().kind != stat.S_IFDIR:
            return None
        wanted = name.lower() if parent.files.ignores_case else name
        child = self._children(parent).get(wanted)
        return None if child is None else Found(path, parent.files, child)

    def _children(self, parent: Found) -> dict[str, Node]:
        known = self._cache.get(parent.path)
        if known is not None:
            return known
        found: dict[str, Node] = {}
        for name, node in parent.files.children(parent.node):
            self._count()
            # Of two entries with one name the first is what the kernel finds.
            found.setdefault(name.lower() if parent.files.ignores_case else name, node)
        if len(found) <= _CACHED_ENTRIES_MAX:
            if len(self._cache) >= _CACHED_DIRECTORIES_MAX:
                self._cache.clear()
            self._cache[parent.path] = found
        return found

    def _count(self) -> None:
        self._entries_left -= 1
        if self._entries_left < 0:
            raise Unreadable("TooManyEntries", "more directory entries than any real system has")

    def exists(self, path: str) -> bool:
        """Whether there is anything at `path`."""
        return self.find(path) is not None

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`."""
        found = self.find(path)
        return found is not None and found.stat().kind == stat.S_IFDIR

    def find_file(self, path: str) -> Found | None:
        """Return the regular file at `path`; None where there is none, or something else."""
        found = self.find(path)
        return found if found is not None and found.stat().kind == stat.S_IFREG else None

    def read_text(self, path: str, *, bytes_max: int = FILE_BYTES_MAX) -> FileText | None:
        """Return the small regular file at `path`; None where there is none. Raises `Unreadable` if it is larger."""
        found = self.find_file(path)
        if found is None:
            return None
        if found.stat().size > bytes_max:
            raise Unreadable("FileTooLarge", f"{path} has more than {bytes_max} bytes")
        return FileText(found.path, found.read(bytes_max))

    def read_head(self, path: str, length: int) -> bytes | None:
        """Return the first `length` bytes of the regular file at `path`; None where there is none."""
        found = self.find_file(path)
        return None if found is None else found.read(length)

    def names(self, path: str) -> list[str]:
        """Return the names in the directory at `path`, sorted; none where there is no directory."""
        found = self.find(path)
        if found is None or found.stat().kind != stat.S_IFDIR:
            return []
        below = found.path.rstrip("/")
        return sorted(self._children(found).keys() | self._mounted_in.get(f"{below}/", set()))

    def walk(self, path: str = "/") -> Iterator[tuple[Found, Stat]]:
        """Yield everything beneath `path`, links not followed, mounts entered, each directory before what is in it.

        A directory within itself (a cycle that only a forged file system has) is not entered again. One that has several names,
        which only a forged one has too, is walked under each of them, since what a file is depends on its path; raises
        `Unreadable` for more names than a few, and for folders deeper than any.
        """
        top = self.find(path)
        if top is None:
            return
        todo: list[tuple[Found, _Above | None]] = [(top, None)]
        names: Counter[_Key] = Counter()
        while todo:
            parent, above = todo.pop()
            key = (id(parent.files), parent.files.identity(parent.node))
            if names[key] and _is_above(key, above):
                continue
            if parent.path.count("/") > WALK_DEPTH_MAX:
                raise Unreadable("PathTooDeep", f"folders more than {WALK_DEPTH_MAX} deep")
            names[key] += 1
            if names[key] > NAMES_OF_A_DIRECTORY_MAX:
                raise Unreadable("DirectoryLinked", f"{parent.path} is a directory that has many names")
            for child in self._listed(parent):
                facts = child.files.stat(child.node)
                yield child, facts
                if facts.kind == stat.S_IFDIR:
                    todo.append((child, (key, above)))

    def _listed(self, parent: Found) -> Iterator[Found]:
        """Yield what is in a directory, and mounts whose own directory is not there: systemd makes it (systemd.mount(5))."""
        files, prefix = parent.files, f"{parent.path.rstrip('/')}/"
        for name, node in files.children(parent.node):
            self._count()
            mounted = self._mounts.get(prefix + name)
            yield Found(prefix + name, files, node) if mounted is None else Found(prefix + name, mounted, mounted.root)
        for name in self._mounted_in.get(prefix, ()):
            if not self._has(parent, name):
                yield Found(prefix + name, self._mounts[prefix + name], self._mounts[prefix + name].root)

    def _has(self, parent: Found, name: str) -> bool:
        """Whether the directory itself has an entry of that name."""
        return (name.lower() if parent.files.ignores_case else name) in self._children(parent)


_Key = tuple[int, object]
_Above = tuple[_Key, "_Above | None"]


def _is_above(key: _Key, above: _Above | None) -> bool:
    """Whether the directory is one of those on the way down."""
    while above is not None:
        known, above = above
        if known == key:
            return True
    return False
