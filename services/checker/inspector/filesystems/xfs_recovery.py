# SPDX-License-Identifier: AGPL-3.0-or-later
"""An XFS as it is once its log has been replayed, as the first mount does it.

Source: XFS Algorithms and Data Structures, 3rd edition, "Journaling Log"; Linux, fs/xfs/libxfs/xfs_log_format.h.

Where Linux would refuse to mount, and where replaying needs what is not built here, nothing is replayed and the reason is told:
the disk is then read as it lies, and what it shows is not what a machine would boot. Replaying half of a log is worse than none.
"""

import struct
from collections import Counter

from filesystems.replayed import ReplayedPart
from filesystems.xfs_geometry import Geometry
from filesystems.xfs_log import NOT_REPLAYED, SECTOR_BYTES, Log
from filesystems.xfs_log_buffers import Buffers
from filesystems.xfs_log_inodes import description, is_outdated, merged
from filesystems.xfs_transactions import Item, committed
from findings import Unreadable, attempt
from part import Part

_BUFFER, _INODE, _CREATION = 0x123C, 0x123B, 0x123F
_QUOTAS = (0x123D, 0x123E)
"""Of quotas, which no file shows."""
_INTENTS = {0x1236: 0x1237, 0x1240: 0x1241, 0x1242: 0x1243, 0x1244: 0x1245, 0x1246: 0x1247, 0x1248: 0x1249}
"""What is to be done, by the item that says that it was."""
_DONE = {done: intent for intent, done in _INTENTS.items()}
_SHOWN_BY_FILES = {0x1244: "blocks of a file", 0x1246: "an extended attribute", 0x1248: "an exchange of files' blocks"}
"""Intents that change what files say. Extents left to be freed, counted or mapped back do not."""
_IS_OF_INODES, _IS_CANCELLED, _IS_OF_QUOTAS = 0x1, 0x2, 0x1C
_KIND_SHIFT = 11
_CHUNK_BYTES = 128
_KNOWN_LOG_FEATURES = 0x1
"""Extended attributes' intents."""
_ENTRIES_MAX = 250_000
_INODES_PER_CHUNK = 64


def recovered(part: Part, block: bytes) -> tuple[Part, str | None]:
    """Return `part` with what its log holds over it, and why that could not be had: None where it was, or nothing was to do.

    `block` is the super block, judged before.
    """
    geometry = Geometry(block)
    found = attempt(lambda: _recovered(part, geometry))
    return (part, f"the log was not replayed: {found}") if isinstance(found, Unreadable) else (found, None)


def _recovered(part: Part, geometry: Geometry) -> Part:
    if geometry.log_at is None:
        raise Unreadable(NOT_REPLAYED, "it lies on another device")
    words = {"version": geometry.log_version, "uuid": geometry.uuid, "checked": geometry.is_version_5}
    log = Log(part, geometry.log_at, geometry.log_sectors, **words)  # type: ignore[arg-type]
    if log.is_clean():
        return part
    if geometry.log_features & ~_KNOWN_LOG_FEATURES:
        raise Unreadable(NOT_REPLAYED, "it uses features that are not read")
    recovery = _Recovery(part, geometry, log)
    recovery.run()
    return ReplayedPart(part, SECTOR_BYTES, recovery.buffers.sectors)


class _Recovery:
    """One replay: first what was cancelled is noted, then the transactions are done again."""

    def __init__(self, part: Part, geometry: Geometry, log: Log) -> None:
        self._geometry, self._log = geometry, log
        self.buffers = Buffers(part, geometry, log.newest_lsn)
        self._cancelled: Counter[tuple[int, int]] = Counter()
        self._intents: set[tuple[int, int]] = set()

    def run(self) -> None:
        """Replay the log; raises `Unreadable`."""
        for _, items in committed(self._log.records(verify=True)):
            for item in items:
                if _type(item) == _BUFFER and _buffer(item)[0] & _IS_CANCELLED:
                    self._cancelled[_buffer(item)[1:3]] += 1
            if len(self._cancelled) > _ENTRIES_MAX:
                raise Unreadable(NOT_REPLAYED, "it cancels too many buffers")
        current = 0
        for lsn, items in committed(self._log.records(verify=False)):
            if lsn != current:
                self.buffers.stamp(current)
                current = lsn
            self._transaction(lsn, items)
        self.buffers.stamp(current)
        for intent, _ in self._intents:
            if intent in _SHOWN_BY_FILES:
                raise Unreadable(NOT_REPLAYED, f"it leaves {_SHOWN_BY_FILES[intent]} to be changed")

    def _transaction(self, lsn: int, items: list[Item]) -> None:
        """Do it again: buffers before inodes, which lie in some of them, and what is cancelled last."""
        later, cancelled = [], []
        for item in items:
            kind = _type(item)
            if kind == _BUFFER:
                flags, sector, sectors, _ = _buffer(item)
                if flags & _IS_CANCELLED:
                    cancelled.append((sector, sectors))
                elif not flags & (_IS_OF_INODES | _IS_OF_QUOTAS) and (sector, sectors) not in self._cancelled:
                    # Of buffers of inodes only the list of unlinked ones would be replayed, which no file shows.
                    self._change_buffer(item, lsn)
            elif kind == _CREATION:
                self._create_inodes(item[0])
            else:
                later.append(item)
        for item in later:
            self._change_other(item, lsn)
        for key in cancelled:
            self._cancelled[key] -= 1
            if self._cancelled[key] <= 0:
                del self._cancelled[key]

    def _change_other(self, item: Item, lsn: int) -> None:
        kind = _type(item)
        if kind == _INODE:
            self._change_inode(item, lsn)
        elif kind in _INTENTS:
            self._intents.add((kind, _number_of(item)))
            if len(self._intents) > _ENTRIES_MAX:
                raise Unreadable(NOT_REPLAYED, "it leaves too much to be done")
        elif kind in _DONE:
            self._intents.discard((_DONE[kind], _number_of(item)))
        elif kind not in _QUOTAS:
            raise Unreadable(NOT_REPLAYED, f"it holds an item of an unknown type (0x{kind:x})")

    def _change_buffer(self, item: Item, lsn: int) -> None:
        flags, sector, sectors, chunks = _buffer(item)
        at = self.buffers.place(sector, sectors)
        if self.buffers.is_newer(at, lsn):
            return
        chunk, regions = 0, iter(item[1:])
        while chunks:
            skipped = (chunks & -chunks).bit_length() - 1
            chunk, chunks = chunk + skipped, chunks >> skipped
            run = ((chunks + 1) & ~chunks).bit_length() - 1
            region = next(regions, b"")
            count = min(run, len(region) // _CHUNK_BYTES)
            if not count or (chunk + count) * _CHUNK_BYTES > sectors * SECTOR_BYTES:
                raise Unreadable(NOT_REPLAYED, "a buffer's changes make no sense")
            self.buffers.write(at + chunk * _CHUNK_BYTES, region[: count * _CHUNK_BYTES])
            chunk, chunks = chunk + count, chunks >> count
        self.buffers.changed(at, flags >> _KIND_SHIFT)

    def _change_inode(self, item: Item, lsn: int) -> None:
        said, size = description(item[0]), self._geometry.inode_bytes
        if (said.sector, said.sectors) in self._cancelled:
            return
        at = self.buffers.place(said.sector, said.sectors) + said.at
        if not 0 <= said.at <= said.sectors * SECTOR_BYTES - size or len(item) < 2 or len(item[1]) < 96:
            raise Unreadable(NOT_REPLAYED, "an inode's item makes no sense")
        old = self.buffers.read(at, size)
        if not old.startswith(b"IN") or not item[1].startswith(b"NI"):
            raise Unreadable(NOT_REPLAYED, "an inode is to be changed where there is none")
        if not is_outdated(item[1], old, lsn, self._geometry):
            self.buffers.write(at, merged(item, said, old, lsn, self._geometry))

    def _create_inodes(self, region: bytes | bytearray) -> None:
        if len(region) != 28:
            raise Unreadable(NOT_REPLAYED, "new inodes make no sense")
        group, block, count, size, blocks, generation = struct.unpack_from(">IIIIII", region, 4)
        geometry = self._geometry
        known = group < geometry.groups and 0 < block < geometry.group_blocks and size == geometry.inode_bytes
        if (
            not known
            or not 0 < count <= max(_INODES_PER_CHUNK, geometry.block_bytes // size)
            or count * size != blocks * geometry.block_bytes
        ):
            raise Unreadable(NOT_REPLAYED, "new inodes make no sense")
        sectors_per_block, cluster = geometry.block_bytes // SECTOR_BYTES, geometry.cluster_blocks
        first = (group * geometry.group_blocks + block) * sectors_per_block
        at = self.buffers.place(first, blocks * sectors_per_block)
        for number in range(0, blocks, cluster):
            if (first + number * sectors_per_block, cluster * sectors_per_block) in self._cancelled:
                return
        version = 3 if geometry.is_version_5 else 2
        inodes = []
        for index in range(count):
            inode = struct.pack(">2s2xB87xII", b"IN", version, generation, 0xFFFFFFFF)
            if version == 3:
                inode += struct.pack(">52xQ16s", geometry.inode_number(group, block, index), geometry.metadata_uuid)
            inodes.append(inode.ljust(size, b"\0"))
        self.buffers.write(at, b"".join(inodes))


def _type(item: Item) -> int:
    return int.from_bytes(item[0][:2], "little")


def _number_of(item: Item) -> int:
    if len(item[0]) < 16:
        raise Unreadable(NOT_REPLAYED, "an intent makes no sense")
    return int.from_bytes(item[0][8:16], "little")


def _buffer(item: Item) -> tuple[int, int, int, int]:
    """Read the description of a buffer's item: flags, first sector, sectors, and a bit for each chunk that is logged."""
    region = item[0]
    if len(region) < 20:
        raise Unreadable(NOT_REPLAYED, "a buffer's item makes no sense")
    flags, sectors, sector, words = struct.unpack_from("<HHqI", region, 4)
    if 20 + words * 4 > len(region):
        raise Unreadable(NOT_REPLAYED, "a buffer's item makes no sense")
    return flags, sector, sectors, int.from_bytes(region[20 : 20 + words * 4], "little")
