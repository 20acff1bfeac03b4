# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the journal of an ext3 or ext4 holds, and the first mount writes back.

Done as Linux does it: transactions in sequence as far as each has its commit block; of each block the last copy, unless the same
transaction or a later one revoked it. What Linux refuses, or its versions read differently, is refused here.
Source: Linux, Documentation/filesystems/ext4 (journal); fs/jbd2/recovery.c for the order and for what is refused.
"""

import stat
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from filesystems.ext_blocks import Blocks, Run
from filesystems.ext_tables import InodeTable
from filesystems.replayed import ReplayedPart
from findings import Unreadable

_INCOMPAT_RECOVER = 0x4
_COMPAT_HAS_JOURNAL = 0x4
_LAYOUT = ((20, 28), (32, 44), (76, 80), (88, 90), (97, 100), (224, 232), (254, 256))
"""What of the super block says how all the rest is to be read: sizes, features but for a journal to replay, the journal."""
_EXTENTS_FLAG = 0x80000
_INLINE_FLAG = 0x10000000

_LOG_BLOCKS_MAX = 262_144
"""As many as mke2fs gives the journal of the largest file system."""
_LOG_BYTES_MAX = 512 * 2**20
"""What is read, and has its checksums computed, in about fifteen seconds."""
_ESCAPED_BYTES_MAX = 16 * 2**20

_MAGIC = 0xC03B3998
_DESCRIPTOR, _COMMIT, _SUPER_BLOCK_1, _SUPER_BLOCK_2, _REVOKE = 1, 2, 3, 4, 5
_HEADER = struct.Struct(">III")
_SUPER_BLOCK = struct.Struct(">12xIIIII4xIII16s16xB3xI")
_SUPER_BLOCK_CHECKSUM_AT = 252
_BLOCKS_MIN = 1024
_COMPAT_CHECKSUM = 0x1
_WIDE, _CHECKSUM_2, _CHECKSUM_3, _FAST_COMMITS = 0x2, 0x8, 0x10, 0x20
_INCOMPAT_READ = 0x3F
"""Revoked blocks, 64 bits, commit blocks written without waiting, checksums of version 2 and 3, fast commits."""
_CRC32, _CRC32C = 1, 4
_FAST_BLOCKS = 256
_FAST_HEAD = b"\x09\0"
_TAG, _TAG_3 = struct.Struct(">IHH"), struct.Struct(">I2xHII")
_ESCAPED, _SAME_UUID, _LAST = 0x1, 0x2, 0x8
_UUID_BYTES = 16
_TAIL_BYTES = 4
_COMMIT_CHECKSUM_AT = 16
_ONES = 0xFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal inside its file system; equal to another that lies in the same place of a file system of the same layout."""

    blocks: Blocks = field(compare=False)
    announced: bool = field(compare=False)
    layout: bytes
    runs: tuple[Run, ...]
    length: int

    def replayed(self) -> ReplayedPart | None:
        """Return the file system's part as it is once the journal is written back; None where there is nothing to write.

        Raises `Unreadable` where it cannot be told what would be written.
        """
        log = _Log(self.blocks, self.runs)
        if not self.announced:
            # Linux then wipes the journal; a repair that is told to say yes to everything writes it back.
            if any(log.read(0)[28:32]):
                raise Unreadable("JournalUnannounced", "it holds changes, and the super block says that it holds none")
            return None
        head = _judge(log.read(0), self.blocks.size, self.length)
        if not head.start:
            return None
        units = _Recovery(log, head).units()
        return ReplayedPart(self.blocks.part, self.blocks.size, units) if units else None


def journal_of(super_block: bytes, inodes: InodeTable, blocks: Blocks) -> Journal | None:
    """Return the journal of a file system, None if it has none; raises `Unreadable` where it cannot be found."""
    compatible, incompatible = struct.unpack_from("<II", super_block, 92)
    number, device = struct.unpack_from("<II", super_block, 224)
    announced = bool(incompatible & _INCOMPAT_RECOVER)
    if not compatible & _COMPAT_HAS_JOURNAL:
        if announced:
            raise Unreadable("JournalDamaged", "the super block tells of changes in a journal that there is not")
        return None
    if device or not number:
        raise Unreadable("JournalElsewhere", "it is on another device, which is not looked at")
    facts, mapping, raw = inodes.stat(number), inodes.mapping(number), inodes.raw(number)
    if facts.kind != stat.S_IFREG or not any(raw[26:28]) or mapping.flags & _INLINE_FLAG or facts.size < blocks.size:
        raise Unreadable("JournalDamaged", f"inode {number} is no journal")
    length = facts.size // blocks.size
    with blocks.part.one_question():
        runs = blocks.runs(mapping.i_block, length, extents=bool(mapping.flags & _EXTENTS_FLAG))
    layout = b"".join(super_block[start:end] for start, end in _LAYOUT) + bytes([super_block[96] & ~_INCOMPAT_RECOVER])
    return Journal(blocks, announced, layout, tuple(runs), length)


class _Log:
    """The blocks of a journal by their numbers in it."""

    def __init__(self, blocks: Blocks, runs: tuple[Run, ...]) -> None:
        self.part, self.block_bytes = blocks.part, blocks.size
        self._runs, self._starts = runs, list(accumulate((count for _, count in runs), initial=0))[:-1]
        self._own = sorted(run for run in runs if run[0] is not None)

    def place(self, number: int) -> int:
        """Return where in the part a block lies, in bytes."""
        index = bisect_right(self._starts, number) - 1
        first, count = self._runs[index] if index >= 0 else (None, 0)
        if first is None or number - self._starts[index] >= count:
            raise Unreadable("JournalDamaged", f"its block {number} is nowhere on the disk")
        return (first + number - self._starts[index]) * self.block_bytes

    def read(self, number: int) -> bytes:
        """Return a block."""
        return self.at(self.place(number))

    def at(self, place: int) -> bytes:
        """Return the block that lies at a place of the part."""
        block = self.part.at(place, self.block_bytes)
        if len(block) < self.block_bytes:
            raise Unreadable("Truncated", "its blocks lie beyond the end of the disk")
        return block

    def holds(self, block: int) -> bool:
        """Whether a block of the file system is one of the journal."""
        index = bisect_right(self._own, block, key=lambda run: run[0] or 0) - 1
        return index >= 0 and block < (self._own[index][0] or 0) + self._own[index][1]


@dataclass(frozen=True, slots=True)
class _Head:
    """A journal's super block: the blocks from `first` up to `last` go round; `start` is where the log begins, 0 if it is empty.

    `checksums` is their version, 0 for none; `seed` what those of version 2 and 3 begin with; `fast_at` the first block of fast
    commits.
    """

    first: int
    last: int
    start: int
    sequence: int
    wide: bool
    checksums: int
    seed: int
    fast_at: int | None

    @property
    def tag_bytes(self) -> int:
        """How long a tag is, without the UUID behind it."""
        if self.checksums == 3:
            return _TAG_3.size
        return _TAG.size + 4 * self.wide + 2 * (self.checksums == 2)

    @property
    def tail_bytes(self) -> int:
        """How much of the end of a block of tags, or of revoked ones, is its checksum."""
        return _TAIL_BYTES if self.checksums > 1 else 0


def _judge(block: bytes, block_bytes: int, length: int) -> _Head:
    """Return what the super block of a journal of `length` blocks says; raises `Unreadable` for what Linux would not take."""
    magic, kind, _ = _HEADER.unpack_from(block)
    size, last, first, sequence, start, compat, incompat, ro_compat, uuid, checksum, fast = _SUPER_BLOCK.unpack_from(block)
    if magic != _MAGIC or kind not in {_SUPER_BLOCK_1, _SUPER_BLOCK_2} or size != block_bytes:
        raise Unreadable("JournalDamaged", "its super block makes no sense")
    if kind == _SUPER_BLOCK_1:
        compat = incompat = ro_compat = 0
    if incompat & ~_INCOMPAT_READ or ro_compat:
        raise Unreadable("JournalFeature", f"it has features that are not known ({incompat:#x}, {ro_compat:#x})")
    versions = [
        version
        for version, flag in enumerate((compat & _COMPAT_CHECKSUM, incompat & _CHECKSUM_2, incompat & _CHECKSUM_3), start=1)
        if flag
    ]
    if len(versions) > 1 or (versions and versions != [1] and checksum != _CRC32C):
        raise Unreadable("JournalDamaged", "its checksums are of a kind that there is not")
    version = versions[0] if versions else 0
    if version > 1:
        told = struct.unpack_from(">I", block, _SUPER_BLOCK_CHECKSUM_AT)[0]
        if told != _crc32c(_zeroed(block[:1024], _SUPER_BLOCK_CHECKSUM_AT)):
            raise Unreadable("JournalDamaged", "its super block does not match its checksum")
    fast_at = None
    if incompat & _FAST_COMMITS:
        last -= fast or _FAST_BLOCKS
        fast_at = last + 1
    ends = last if fast_at is None else last + (fast or _FAST_BLOCKS)
    if first < 1 or first + _BLOCKS_MIN > last + 1 or ends > length or (start and not first <= start < last):
        raise Unreadable("JournalDamaged", f"a log from block {first} to {last} of {length} that begins at {start}")
    return _Head(first, last, start, sequence, bool(incompat & _WIDE), version, _crc32c(uuid), fast_at)


class _Copy(NamedTuple):
    """A block in the log: which one of the file system it is to be, where in the part the copy lies, in bytes, how it is kept."""

    block: int
    place: int
    escaped: bool
    checksum: int


class _Recovery:
    """One walk through a log."""

    def __init__(self, log: _Log, head: _Head) -> None:
        self._log, self._head, self._at, self._used = log, head, head.start, 0
        self._length = head.last - head.first
        self._blocks_max = min(_LOG_BLOCKS_MAX, _LOG_BYTES_MAX // log.block_bytes)
        self._units: dict[int, bytes | int] = {}
        self._escaped_bytes = 0
        self._copies: list[_Copy] = []
        self._revoked: list[int] = []
        self._forget()

    def units(self) -> dict[int, bytes | int]:
        """Return what is written back, as `ReplayedPart` takes it."""
        sequence = self._head.sequence
        while True:
            block = self._log.read(self._at)
            magic, kind, number = _HEADER.unpack_from(block)
            if magic != _MAGIC or number != sequence:
                break
            self._next()
            if kind == _DESCRIPTOR:
                self._describe(block)
            elif kind == _REVOKE:
                self._revoke(block)
            elif kind == _COMMIT:
                self._commit(block, sequence)
                sequence = sequence + 1 & _ONES
            else:
                break
        self._judge_fast_commits()
        return self._units

    def _next(self) -> int:
        """Return where the present block lies, and go to the one behind it. The log goes round, but never more than once."""
        place = self._log.place(self._at)
        self._used += 1
        if self._used > self._length:
            raise Unreadable("JournalDamaged", "its log leads round to its own beginning")
        if self._used > self._blocks_max:
            raise Unreadable("JournalTooLarge", f"it holds more than {self._blocks_max} blocks")
        self._at += 1
        if self._at >= self._head.last:
            if self._head.fast_at is not None:
                # Linux 5.10 went on into the fast commits, later ones do not.
                raise Unreadable("JournalFeature", "a log that goes round, with fast commits behind it, is not read")
            self._at = self._head.first
        return place

    def _forget(self) -> None:
        """Begin the next transaction."""
        self._copies, self._revoked, self._damaged, self._crc32 = [], [], False, 0

    def _describe(self, block: bytes) -> None:
        """Take the tags of a descriptor block; what they are of follows it, block by block."""
        self._judge_tail(block)
        head, at, flags = self._head, _HEADER.size, 0
        if head.checksums == 1:
            self._crc32 = zlib.crc32(block.translate(_REVERSED), self._crc32)
        while not flags & _LAST and at + head.tag_bytes <= len(block) - head.tail_bytes:
            low, checksum, flags = _TAG.unpack_from(block, at)
            high = 0
            if head.checksums == 3:
                low, flags, high, checksum = _TAG_3.unpack_from(block, at)
            elif head.wide:
                high = struct.unpack_from(">I", block, at + _TAG.size)[0]
            number = low | (high << 32 if head.wide else 0)
            self._copies.append(_Copy(number, self._next(), bool(flags & _ESCAPED), checksum))
            if head.checksums == 1:
                self._crc32 = zlib.crc32(self._log.at(self._copies[-1].place).translate(_REVERSED), self._crc32)
            at += head.tag_bytes + (0 if flags & _SAME_UUID else _UUID_BYTES)

    def _revoke(self, block: bytes) -> None:
        """Take the numbers of a revoke block."""
        self._judge_tail(block)
        record = 8 if self._head.wide else 4
        (end,) = struct.unpack_from(">I", block, _HEADER.size)
        if end > len(block) - self._head.tail_bytes:
            self._damaged = True
            return
        count = max(0, end - _HEADER.size - 4) // record
        self._revoked += struct.unpack_from(f">{count}{'Q' if record == 8 else 'I'}", block, _HEADER.size + 4)

    def _judge_tail(self, block: bytes) -> None:
        """Note a wrong checksum: of a transaction that was never committed it is none of our business."""
        if self._head.checksums > 1:
            told = struct.unpack(">I", block[-_TAIL_BYTES:])[0]
            self._damaged |= told != _crc32c(block[:-_TAIL_BYTES] + bytes(_TAIL_BYTES), self._head.seed)

    def _commit(self, block: bytes, sequence: int) -> None:
        """Write back a whole transaction."""
        if self._damaged or not self._is_whole(block):
            raise Unreadable("JournalDamaged", f"transaction {sequence} does not match its checksum")
        seed = _crc32c(struct.pack(">I", sequence), self._head.seed) if self._head.checksums > 1 else 0
        for copy in self._copies:
            self._write(copy, seed, sequence)
        for number in self._revoked:
            self._units.pop(number, None)
        self._forget()

    def _is_whole(self, block: bytes) -> bool:
        """Whether a commit block matches its checksum, of version 1 that of the whole transaction."""
        (told,) = struct.unpack_from(">I", block, _COMMIT_CHECKSUM_AT)
        if self._head.checksums > 1:
            return bool(told == _crc32c(_zeroed(block, _COMMIT_CHECKSUM_AT), self._head.seed))
        if self._head.checksums == 1 and (told, *block[12:14]) != (0, 0, 0):
            # Not reflected, unlike the one at hand: computed of reversed bits.
            found = int(f"{self._crc32 ^ _ONES:032b}"[::-1], 2)
            return (told, *block[12:14]) == (found, _CRC32, 4)
        return True

    def _write(self, copy: _Copy, seed: int, sequence: int) -> None:
        log = self._log
        if (copy.block + 1) * log.block_bytes > log.part.size:
            raise Unreadable("JournalDamaged", f"it holds a block {copy.block}, which the disk has not")
        if log.holds(copy.block):
            raise Unreadable("JournalDamaged", f"it holds block {copy.block}, which is one of its own")
        if self._head.checksums > 1:
            told = _crc32c(log.at(copy.place), seed)
            if copy.checksum != (told if self._head.checksums == 3 else told & 0xFFFF):
                raise Unreadable("JournalDamaged", f"a block of transaction {sequence} does not match its checksum")
        content: bytes | int = copy.place
        if copy.escaped:
            # It began with the magic, which nothing in the log may but what is the log's.
            content = _MAGIC.to_bytes(4, "big") + log.at(copy.place)[4:]
            self._escaped_bytes += len(content)
            if self._escaped_bytes > _ESCAPED_BYTES_MAX:
                raise Unreadable("JournalTooLarge", f"it holds more than {_ESCAPED_BYTES_MAX} bytes in escaped blocks")
        self._units[copy.block] = content

    def _judge_fast_commits(self) -> None:
        """Refuse fast commits, which are no copies of blocks: what they change would have to be worked out."""
        at = self._head.fast_at
        if at is not None and _FAST_HEAD in {self._log.read(number)[:2] for number in (at - 1, at)}:
            raise Unreadable("JournalFeature", "it holds fast commits, which are not read")


def _zeroed(block: bytes, at: int) -> bytes:
    """Return the block with zeros for its checksum."""
    return block[:at] + bytes(4) + block[at + 4 :]


def _crc32c(data: bytes, seed: int = _ONES) -> int:
    """Return the CRC-32C as the journal has it: begun with `seed`, not inverted at its end."""
    from dissect.util.hash import crc32c

    return int(crc32c.crc32c(data, seed ^ _ONES)) ^ _ONES
