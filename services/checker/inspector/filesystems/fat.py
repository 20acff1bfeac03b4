# SPDX-License-Identifier: AGPL-3.0-or-later
"""FAT12, FAT16 and FAT32, as on EFI system partitions. Source: Microsoft, FAT32 File System Specification 1.03.

Our own: dissect.fat joins clusters that do not follow each other, and follows a table's loops without end.
"""

import datetime as dt
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import BinaryIO, ClassVar, cast

from filesystems.base import FileSystem, Node, Stat
from findings import Unreadable, attempt
from part import JoinedPart, Part

DIRECTORY_BYTES_MAX = 2 * 2**20
"""65,536 entries, which is what the specification allows."""
_PAGE_BYTES = 4096
_PAGES_KEPT = 64
_LABEL_AMONG_MAX = 4096
_LONG_NAME, _VOLUME, _DIRECTORY = 0x0F, 0x08, 0x10
_BAD = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry: attributes, first cluster, size in bytes, time of change in s; `place` is where the entry lies."""

    place: int
    attributes: int
    cluster: int
    size: int
    mtime: int


def is_it(part: Part) -> bool:
    """Tell by the boot sector's signature and type."""
    start = part.at(0, 512)
    return start[510:512] == b"\x55\xaa" and (start[54:57] == b"FAT" or start[82:87] == b"FAT32")


def open_it(part: Part) -> FileSystem:
    """Open it; raises `Unreadable` if its boot sector makes no sense."""
    return FatFileSystem(part)


class FatFileSystem(FileSystem):
    """A FAT file system."""

    kind: ClassVar[str] = "vfat"
    ignores_case: ClassVar[bool] = True

    def __init__(self, part: Part) -> None:
        self._part = part
        start = part.at(0, 512)
        sector, per_cluster, reserved, tables, root_entries = struct.unpack("<HBHBH", start[11:19])
        total, table_sectors = struct.unpack("<H", start[19:21])[0], struct.unpack("<H", start[22:24])[0]
        total = total or struct.unpack("<I", start[32:36])[0]
        # As Linux tells them apart; small FAT32 file systems have fewer clusters than the specification wants.
        is_32 = table_sectors == 0
        table_sectors = table_sectors or struct.unpack("<I", start[36:40])[0]
        if sector not in (512, 1024, 2048, 4096) or per_cluster not in (1, 2, 4, 8, 16, 32, 64, 128):
            raise Unreadable("SuperBlockMalformed", f"FAT sectors of {sector} bytes, {per_cluster} to a cluster")
        if not reserved or not 1 <= tables <= 4 or not table_sectors or not total:
            raise Unreadable("SuperBlockMalformed", "the FAT boot sector's sizes make no sense")
        if total * sector > part.size:
            raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
        self._cluster = sector * per_cluster
        self._table_at = reserved * sector
        self._root_at = self._table_at + tables * table_sectors * sector
        self._root_bytes = root_entries * 32
        self._data_at = self._root_at + -(-self._root_bytes // sector) * sector
        self._clusters = max(0, total * sector - self._data_at) // self._cluster
        self._bits = 32 if is_32 else 16 if self._clusters >= 4085 else 12
        if (self._clusters + 2) * self._bits // 8 > table_sectors * sector:
            raise Unreadable("SuperBlockMalformed", "the FAT does not cover the file system")
        self._root = Entry(-1, _DIRECTORY, struct.unpack("<I", start[44:48])[0] if is_32 else 0, 0, 0)
        self._page = lru_cache(_PAGES_KEPT)(lambda number: part.at(self._table_at + number * _PAGE_BYTES, _PAGE_BYTES + 1))
        (serial,) = struct.unpack("<I", start[67:71] if is_32 else start[39:43])
        self.uuid = f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
        label = attempt(self._label)
        self.label = None if isinstance(label, Unreadable) else label

    def _label(self) -> str | None:
        """Return the label in the top directory: that in the boot sector is a copy which neither Windows nor udev goes by."""
        for _, entry in islice(self._entries(self._root), _LABEL_AMONG_MAX):
            if entry[11] & 0x3F != _LONG_NAME and entry[11] & (_VOLUME | _DIRECTORY) == _VOLUME:
                return (b"\xe5" + entry[1:11] if entry[0] == 0x05 else entry[:11]).decode("ascii", "replace").rstrip() or None
        return None

    @property
    def root(self) -> Node:
        """The top directory."""
        return self._root

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries, by their long names where they have them."""
        pieces: dict[int, bytes] = {}
        checksum = -1
        for place, entry in self._entries(node):
            attributes = entry[11]
            if attributes & 0x3F == _LONG_NAME:
                number = entry[0] & 0x1F
                if entry[0] & 0x40:
                    pieces, checksum = {}, entry[13]
                pieces[number] = entry[1:11] + entry[14:26] + entry[28:32]
                continue
            name = _long_name(pieces) if pieces and checksum == _checksum(entry[:11]) else _short_name(entry)
            pieces = {}
            if not attributes & _VOLUME and name not in {".", ".."}:
                yield name, _parse(place, entry, wide=self._bits == 32)

    def _entries(self, node: Entry) -> Iterator[tuple[int, bytes]]:
        """Yield the entries in use, with their places, up to the mark of the end."""
        for at, length in self._directory_runs(node):
            data = self._part.at(at, length)
            for start in range(0, len(data) - 31, 32):
                if not data[start]:
                    return
                if data[start] != 0xE5:
                    yield at + start, data[start : start + 32]

    def _directory_runs(self, node: Entry) -> list[tuple[int, int]]:
        if node.place == -1 and self._bits != 32:
            return [(self._root_at, self._root_bytes)]
        runs = self._runs(node.cluster)
        if sum(length for _, length in runs) > DIRECTORY_BYTES_MAX:
            raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        return runs

    def _runs(self, cluster: int) -> list[tuple[int, int]]:
        """Return where the chain's clusters lie, joined where they follow each other.

        Raises `Unreadable` for one without end, or that leads to a cluster that there is not: Linux reads no such file.
        """
        runs: list[tuple[int, int]] = []
        count = 0
        # From the mark of a bad cluster on, all numbers end a chain.
        while cluster < _BAD[self._bits] if count else cluster:
            count += 1
            if not 2 <= cluster < self._clusters + 2:
                raise Unreadable("FatDamaged", f"a chain of clusters leads to cluster {cluster}, which there is not")
            if count > self._clusters:
                raise Unreadable("FatLoop", "a chain of clusters leads back to itself")
            at = self._data_at + (cluster - 2) * self._cluster
            if runs and sum(runs[-1]) == at:
                runs[-1] = (runs[-1][0], runs[-1][1] + self._cluster)
            else:
                runs.append((at, self._cluster))
            cluster = self._next(cluster)
        return runs

    def _next(self, cluster: int) -> int:
        page, within = divmod(cluster * self._bits // 8, _PAGE_BYTES)
        data = self._page(page)
        if self._bits == 32:
            return int.from_bytes(data[within : within + 4], "little") & 0x0FFFFFFF
        value = int.from_bytes(data[within : within + 2], "little")
        if self._bits == 16:
            return value
        return value >> 4 if cluster & 1 else value & 0xFFF

    def stat(self, node: Node) -> Stat:
        """Return what the entry says; FAT has no owners, and permissions are those of the mount."""
        kind = stat.S_IFDIR if node.attributes & _DIRECTORY else stat.S_IFREG
        return Stat(kind, 0o755, 0, 0, node.size, node.mtime)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content."""
        pieces, left = [], node.size
        for at, length in self._runs(node.cluster) if left else []:
            pieces.append((self._part, at, min(length, left)))
            left -= pieces[-1][2]
            if not left:
                break
        return cast("BinaryIO", JoinedPart(pieces) if pieces else Part(cast("BinaryIO", self._part), 0, 0))

    def link_target(self, node: Node) -> str:
        """There are no links."""
        raise NotImplementedError

    def identity(self, node: Node) -> tuple[bool, int]:
        """Return a directory's first cluster, a file's place in its directory."""
        is_directory = bool(node.attributes & _DIRECTORY)
        return is_directory, node.cluster if is_directory else node.place


def _parse(place: int, entry: bytes, *, wide: bool) -> Entry:
    high, time, date, low, size = struct.unpack("<HHHHI", entry[20:32])
    # Of a FAT12 or FAT16 it is no part of the number, but whatever OS/2 kept there.
    high = high if wide else 0
    try:
        when = dt.datetime(
            1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=dt.UTC
        )
        mtime = int(when.timestamp())
    except ValueError:
        mtime = 0
    return Entry(place, entry[11], high << 16 | low, 0 if entry[11] & _DIRECTORY else size, mtime)


def _long_name(pieces: dict[int, bytes]) -> str:
    name = b"".join(pieces[number] for number in sorted(pieces)).decode("utf-16-le", "replace")
    return name.split("\0")[0].rstrip("\uffff")


def _short_name(entry: bytes) -> str:
    """Return the 8.3 name; bits of byte 12 say which half is lower case."""
    base = (b"\xe5" + entry[1:8] if entry[0] == 0x05 else entry[:8]).decode("latin-1").rstrip()
    extension = entry[8:11].decode("latin-1").rstrip()
    base = base.lower() if entry[12] & 0x08 else base
    extension = extension.lower() if entry[12] & 0x10 else extension
    return f"{base}.{extension}" if extension else base


def _checksum(short: bytes) -> int:
    """Return the sum that ties a long name to its short one."""
    found = 0
    for byte in short:
        found = ((found & 1) << 7) + (found >> 1) + byte & 0xFF
    return found
