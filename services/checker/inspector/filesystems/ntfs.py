# SPDX-License-Identifier: AGPL-3.0-or-later
"""NTFS, as far as a Windows' hives, drivers and packages need it. Source: Linux-NTFS project, NTFS documentation."""

import stat
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO, ClassVar

from filesystems import ntfs_log
from filesystems.base import DIRECTORY_BYTES_MAX, FileSystem, Node, Stat
from findings import Unreadable, attempt
from part import Part

_LOG_RECORD, _VOLUME_RECORD, _ROOT, _FIRST_USER_RECORD = 2, 3, 5, 16
_HIBERNATION_FILE = "hiberfil.sys"
_RECORDS_KEPT = 512
_COMPRESSED_BYTES_MAX = 4 * 2**30
_DOS_NAME = 2
_IN_USE = 1
_EPOCH_S = 11644473600


def is_it(part: Part) -> bool:
    """Tell by the boot sector's OEM name."""
    return part.at(3, 8) == b"NTFS    "


def open_it(part: Part) -> FileSystem:
    """Open it; raises `Unreadable` if its boot sector makes no sense."""
    found = NtfsFileSystem(part)
    left = attempt(found.outstanding)
    found.unfinished = f"what its journal holds cannot be told: {left}" if isinstance(left, Unreadable) else left
    return found


class NtfsFileSystem(FileSystem):
    """An NTFS file system; a node is the number of a record of the master file table."""

    kind: ClassVar[str] = "ntfs"
    ignores_case: ClassVar[bool] = True

    def __init__(self, part: Part) -> None:
        self._part = part
        boot = part.at(0, 512)
        cluster, record_bytes, table_at = _judge_boot_sector(boot, part.size)
        self.uuid = f"{struct.unpack('<Q', boot[72:80])[0]:016X}"
        with part.one_question():
            self._table = _table(part, struct.unpack("<H", boot[11:13])[0], cluster, record_bytes, table_at)
            self._table.get = lru_cache(_RECORDS_KEPT)(self._table.get.__wrapped__)
            self.label = self._label()

    def _label(self) -> str | None:
        from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

        names = self._record(_VOLUME_RECORD).attributes[ATTRIBUTE_TYPE_CODE.VOLUME_NAME]
        return names[0].header.open().read(256).decode("utf-16-le", "replace") or None if names else None

    def outstanding(self) -> str | None:
        """Return what Windows would still change when it starts, a clause, None for nothing: left in the journal or in memory."""
        hibernation = next((node for name, node in self.children(_ROOT) if name.lower() == _HIBERNATION_FILE), None)
        slept = None if hibernation is None else ntfs_log.hibernated(self.open(hibernation).read(4))
        return slept or ntfs_log.outstanding(self.open(_LOG_RECORD))

    def _record(self, number: int) -> Node:
        with self._part.one_question():
            record = self._table.get(number)
            record.attributes  # noqa: B018 - parsed here, where reading is bounded
        if not record.header.Flags & _IN_USE:
            raise Unreadable("Malformed", f"record {number} of the file table is not in use")
        return record

    @property
    def root(self) -> Node:
        """The top directory."""
        return _ROOT

    def children(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield the directory's entries by their long names, in the order of the index; the system's own files are left out."""
        from dissect.ntfs.util import segment_reference

        record = self._record(node)
        for entry in self._entries(record):
            number = segment_reference(entry.header.FileReference)
            name = entry.attribute
            if name is not None and number >= _FIRST_USER_RECORD and name.flags != _DOS_NAME:
                yield name.file_name, number

    def _entries(self, record: Node) -> Iterator[Node]:
        """Walk the index as a tree: blocks that are not reached hold entries of long ago. Bounded by the size of the index."""
        from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

        if record.has_stream("$I30", ATTRIBUTE_TYPE_CODE.INDEX_ALLOCATION):
            size = record.size("$I30", ATTRIBUTE_TYPE_CODE.INDEX_ALLOCATION)
            if size > DIRECTORY_BYTES_MAX:
                raise Unreadable("DirectoryTooLarge", f"a directory of more than {DIRECTORY_BYTES_MAX} bytes")
        with self._part.one_question():
            index = record.index("$I30")
            block = index.root.bytes_per_index_buffer
            if block not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
                raise Unreadable("Malformed", f"index blocks of {block} bytes")
            todo = [list(index.root.entries())]
        seen: set[int] = set()
        while todo:
            for entry in todo.pop():
                if entry.is_node:
                    if entry.node_vcn in seen:
                        raise Unreadable("Malformed", "a directory's index leads back to itself")
                    seen.add(entry.node_vcn)
                    with self._part.one_question():
                        todo.append(list(index.index_buffer(entry.node_vcn).entries()))
                if not entry.is_end:
                    yield entry

    def stat(self, node: Node) -> Stat:
        """Return the record's kind and size; owners and permissions are access lists, which nobody here judges."""
        from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

        record = self._record(node)
        times = record.attributes[ATTRIBUTE_TYPE_CODE.STANDARD_INFORMATION]
        mtime = times[0].last_modification_time_ns // 10**9 if times else 0
        if record.is_symlink() or record.is_mount_point():
            return Stat(stat.S_IFLNK, 0o777, 0, 0, len(self.link_target(node)), mtime)
        if record.is_dir():
            return Stat(stat.S_IFDIR, 0o755, 0, 0, 0, mtime)
        return Stat(stat.S_IFREG, 0o755, 0, 0, record.size() if record.has_stream("") else 0, mtime)

    def open(self, node: Node) -> BinaryIO:
        """Return the file's content; raises `Unreadable` for one that is encrypted, or compressed in a way that is not read."""
        from dissect.ntfs.c_ntfs import (
            ATTRIBUTE_FLAG_COMPRESSION_MASK,
            ATTRIBUTE_FLAG_ENCRYPTED,
            ATTRIBUTE_TYPE_CODE,
            IO_REPARSE_TAG,
        )

        record = self._record(node)
        points = record.attributes[ATTRIBUTE_TYPE_CODE.REPARSE_POINT]
        if points and points[0].tag == IO_REPARSE_TAG.WOF:
            raise Unreadable("NotRead", "a file compressed by CompactOS is not read")
        data = record.attributes.find("", ATTRIBUTE_TYPE_CODE.DATA)
        if data and not data[0].header.resident:
            flags = data[0].header.flags
            if flags & ATTRIBUTE_FLAG_ENCRYPTED:
                raise Unreadable("Encrypted", "an encrypted file")
            if flags & ATTRIBUTE_FLAG_COMPRESSION_MASK:
                clusters = sum(abs(count) for _, count in data.dataruns())
                if clusters * record.ntfs.cluster_size > _COMPRESSED_BYTES_MAX or data[0].header.compression_unit != 4:
                    raise Unreadable("FileTooLarge", f"a compressed file of more than {_COMPRESSED_BYTES_MAX} bytes")
        with self._part.one_question():
            return record.open()  # type: ignore[no-any-return]

    def link_target(self, node: Node) -> str:
        """Return where the link points, drive letters left out, with slashes."""
        from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE

        target = self._record(node).attributes[ATTRIBUTE_TYPE_CODE.REPARSE_POINT][0].substitute_name or ""
        target = target.removeprefix("\\??\\")
        if target[1:2] == ":":
            target = "\\" + target[2:].lstrip("\\")
        return target.replace("\\", "/")

    def identity(self, node: Node) -> int:
        """Return the record's number."""
        return int(node)


def _judge_boot_sector(boot: bytes, size: int) -> tuple[int, int, int]:
    """Return the sizes of cluster and record, and where the file table begins, in bytes."""
    if len(boot) < 512:
        raise Unreadable("Truncated", "the boot sector is cut off")
    sector, per_cluster = struct.unpack("<HB", boot[11:14])
    sectors, table, _, record = struct.unpack("<QQQb", boot[40:65])
    # From 64 KiB on a cluster's size is a negative power of two.
    per_cluster = 1 << (256 - per_cluster) if per_cluster > 0x80 else per_cluster
    cluster = sector * per_cluster
    record_bytes = 1 << -record if -16 < record < 0 else record * cluster
    if sector not in (512, 1024, 2048, 4096) or not 512 <= cluster <= 2 * 2**20 or cluster & (cluster - 1):
        raise Unreadable("SuperBlockMalformed", f"NTFS sectors of {sector} bytes, clusters of {cluster}")
    if record_bytes not in (1024, 2048, 4096):
        raise Unreadable("SuperBlockMalformed", f"file records of {record_bytes} bytes")
    if sectors * sector > size or table * cluster >= size:
        raise Unreadable("Truncated", "the file system is larger than its partition; the upload may have been cut off")
    return cluster, record_bytes, table * cluster


def _table(part: Part, sector: int, cluster: int, record_bytes: int, table_at: int) -> Node:
    """Return the parser's file table, made without its own constructor, which follows paths of the image unbounded."""
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE
    from dissect.ntfs.mft import Mft, MftRecord
    from dissect.ntfs.ntfs import NTFS

    volume = NTFS.__new__(NTFS)
    volume.fh, volume.boot_sector, volume.mft, volume.secure, volume.usnjrnl = part, None, None, None, None
    volume.sector_size, volume.cluster_size = sector, cluster
    volume._record_size, volume._index_size = record_bytes, 4096  # noqa: SLF001 - in place of its constructor
    volume.sector_size_shift, volume.cluster_size_shift = sector.bit_length() - 1, cluster.bit_length() - 1
    first = MftRecord.from_fh(part, table_at, ntfs=volume)
    volume.mft = Mft(first.open(), ntfs=volume)
    # Where the table is in many pieces the others are named by records that lie in those known so far.
    for attributes in first.attributes[ATTRIBUTE_TYPE_CODE.ATTRIBUTE_LIST]:
        for attribute in attributes.attributes():
            if attribute.type == ATTRIBUTE_TYPE_CODE.DATA:
                volume.mft.fh.runlist += attribute.dataruns()
    return volume.mft
