# SPDX-License-Identifier: AGPL-3.0-or-later
"""The log of an XFS: where what was not yet written back begins and ends, and its records.

Source: XFS Algorithms and Data Structures, 3rd edition, "Journaling Log"; where the log begins and ends is found as Linux finds
it, so that both read the same records. The log is a ring of sectors of 512 bytes. Each sector begins with the number of the round
in which it was written (its cycle), or with a magic if a record begins there; the words that stood in those places are in the
record's header.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from findings import Unreadable
from part import Part

SECTOR_BYTES = 512
_MAGIC = 0xFEEDBABE
_MAGIC_BYTES = _MAGIC.to_bytes(4)
_WORDS_PER_HEADER = 64
"""Sectors whose first words one sector of a header holds: 32 KiB of a record."""
_RECORD_BYTES_MAX = {1: 32 * 1024, 2: 256 * 1024}
_RECORDS_IN_FLIGHT_MAX = 8
"""Records that Linux writes at once at most: so far before the end may be holes."""
_LITTLE_ENDIAN = 1
_UNMOUNT = 0x20
_HEADER_BYTES = (328, 324)
"""What of a header its checksum covers, as 64-bit and as 32-bit systems count it."""
_EXTENSION_BYTES = 260
_DIRTY_BYTES_MAX = 128 * 2**20
NOT_REPLAYED = "JournalNotReplayed"
"""The code of every refusal to replay a log."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record: its sequence number, how many operations it holds, and those, the sectors' first words put back."""

    lsn: int
    operations: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    """The first sector of a record."""

    cycle: int
    version: int
    length: int
    lsn: int
    tail_lsn: int
    crc: int
    operations: int
    format: int
    uuid: bytes
    buffer_bytes: int

    @property
    def sectors(self) -> int:
        """How many sectors the record's header takes."""
        extended = self.version & 2 and self.buffer_bytes > _WORDS_PER_HEADER * SECTOR_BYTES
        return -(-self.buffer_bytes // (_WORDS_PER_HEADER * SECTOR_BYTES)) if extended else 1

    @property
    def body_sectors(self) -> int:
        """How many sectors follow the header."""
        return -(-self.length // SECTOR_BYTES)


def _header(sector: bytes) -> _Header:
    _, cycle, version, length, lsn, tail_lsn = struct.unpack_from(">IIIIQQ", sector)
    (crc,) = struct.unpack_from("<I", sector, 32)
    (operations,) = struct.unpack_from(">I", sector, 40)
    form, uuid, buffer_bytes = struct.unpack_from(">I16sI", sector, 300)
    return _Header(cycle, version, length, lsn, tail_lsn, crc, operations, form, uuid, buffer_bytes)


class Log:
    """The log in `part`, at `at` bytes, `sectors` long, of version 1 or 2, of the file system `uuid`; `checked` as version 5 is.

    Everything here raises `Unreadable` where the log makes no sense, or would make Linux refuse to mount.
    """

    def __init__(self, part: Part, at: int, sectors: int, *, version: int, uuid: bytes, checked: bool) -> None:
        if sectors < 1 or at + sectors * SECTOR_BYTES > part.size:
            raise Unreadable(NOT_REPLAYED, "it does not lie in the file system")
        self._part, self._at, self._sectors = part, at, sectors
        self._uuid, self._checked = uuid, checked
        self._record_bytes_max = _RECORD_BYTES_MAX[version]
        self._record_sectors = self._record_bytes_max // SECTOR_BYTES
        self.head = self.tail = 0
        self.newest_lsn = 0

    def is_clean(self) -> bool:
        """Find `head` and `tail`, sector numbers, and tell whether nothing has to be replayed.

        Costs a binary search and the 2 MiB before the head, as Linux reads them at each mount.
        """
        self.head = self._find_head()
        if not self.head and not self._cycle(0):
            return True
        at = self._last_header(self.head, _RECORDS_IN_FLIGHT_MAX * self._record_sectors)
        header = self._header_at(at)
        body_at = (at + header.sectors) % self._sectors
        is_last = (body_at + header.body_sectors) % self._sectors == self.head
        if is_last and header.operations == 1 and self._read(body_at, 1)[9] & _UNMOUNT:
            return True
        cycle, self.tail = header.tail_lsn >> 32, header.tail_lsn & 0xFFFFFFFF
        head_cycle = header.cycle + (at >= self.head)
        self.newest_lsn = head_cycle << 32 | self.head
        is_in_order = self.tail <= self.head if cycle == head_cycle else cycle == head_cycle - 1 and self.head < self.tail
        if not is_in_order or self.tail >= self._sectors:
            raise Unreadable(NOT_REPLAYED, "its end lies before its beginning")
        return self.tail == self.head

    def records(self, *, verify: bool) -> Iterator[Record]:
        """Yield the records from the tail to the head; `verify` their checksums.

        Linux takes a wrong checksum among the last records for a torn write and leaves those out. Here it is refused: a sector is
        written whole, and which records were not is told by the cycles already.
        """
        at, left, header_sectors = self.tail, (self.head - self.tail) % self._sectors, self._header_at(self.tail).sectors
        if left * SECTOR_BYTES > _DIRTY_BYTES_MAX:
            raise Unreadable(NOT_REPLAYED, f"more than {_DIRTY_BYTES_MAX} bytes of it are to be replayed")
        while left > 0:
            first = self._header_at(at)
            left -= header_sectors + first.body_sectors
            if first.sectors != header_sectors or not 0 < first.length <= self._record_bytes_max or left < 0:
                raise Unreadable(NOT_REPLAYED, "a record's lengths make no sense")
            if first.format != _LITTLE_ENDIAN or first.uuid != self._uuid or not 0 < first.version < 4:
                raise Unreadable(NOT_REPLAYED, "it was written by another kind of machine, or is of another file system")
            sectors = self._ring(at, header_sectors)
            body = self._ring((at + header_sectors) % self._sectors, first.body_sectors)
            if verify and (first.crc or self._checked) and not _matches(first, sectors, body):
                raise Unreadable(NOT_REPLAYED, "a record does not match its checksum")
            yield Record(first.lsn, first.operations, _with_its_words(sectors, body)[: first.length])
            at = (at + header_sectors + first.body_sectors) % self._sectors

    def _read(self, first: int, count: int) -> bytes:
        data = self._part.at(self._at + first * SECTOR_BYTES, count * SECTOR_BYTES)
        if len(data) != count * SECTOR_BYTES:
            raise Unreadable(NOT_REPLAYED, "it is cut off")
        return data

    def _ring(self, first: int, count: int) -> bytes:
        before_end = min(count, self._sectors - first)
        return self._read(first, before_end) + (self._read(0, count - before_end) if count > before_end else b"")

    def _cycle(self, sector: int) -> int:
        return next(_cycles(self._read(sector, 1)))

    def _header_at(self, sector: int) -> _Header:
        data = self._read(sector, 1)
        if struct.unpack_from(">I", data)[0] != _MAGIC:
            raise Unreadable(NOT_REPLAYED, "no record begins where one should")
        return _header(data)

    def _find_head(self) -> int:
        """Return the sector that would be written next: behind the last record that was written whole."""
        first, last, span = self._cycle(0), self._cycle(self._sectors - 1), _RECORDS_IN_FLIGHT_MAX * self._record_sectors
        if not first:
            return 0
        if not last:
            head = self._first_with(0)
            head = self._hole(max(0, head - span), head, 0, head)
            return self._without_partial(head, span)
        # The whole log has been written. The head is where the numbers fall by one; if they nowhere do, it is at the end.
        head, stop = (self._sectors, last - 1) if first == last else (self._first_with(last), last)
        if head >= span:
            head = self._hole(head - span, head, stop, head)
        else:
            around = self._hole(max(head, self._sectors - (span - head)), self._sectors, stop - 1, -1)
            head = self._hole(0, head, stop, head) if around < 0 else around
        return self._without_partial(head, self._record_sectors) % self._sectors

    def _first_with(self, cycle: int) -> int:
        """Return the first sector with `cycle`, which the last has and the first has not, by a binary search."""
        below, found = 0, self._sectors - 1
        while found - below > 1:
            middle = (below + found) // 2
            below, found = (below, middle) if self._cycle(middle) == cycle else (middle, found)
        return found

    def _hole(self, first: int, end: int, cycle: int, otherwise: int) -> int:
        """Return the first sector from `first` to `end` with `cycle`: a hole that a record left which was not written."""
        for number, found in enumerate(_cycles(self._read(first, end - first)), first):
            if found == cycle:
                return number
        return otherwise

    def _without_partial(self, head: int, span: int) -> int:
        """Return `head`, or where the record before it begins, `span` sectors back at most, if not all of that was written."""
        at = self._last_header(head, span)
        header = self._header_at(at)
        if header.uuid not in (self._uuid, bytes(16)):
            raise Unreadable(NOT_REPLAYED, "it is of another file system")
        behind = at + header.sectors + header.body_sectors
        return head if behind == head + (self._sectors if at >= head else 0) else at

    def _last_header(self, head: int, span: int) -> int:
        """Return where the last record before `head` begins, `span` sectors back at most, around the log's end if need be."""
        found = self._header_between(max(0, head - span), head)
        if found is None and head < span:
            found = self._header_between(max(head, self._sectors - (span - head)), self._sectors)
        if found is None:
            raise Unreadable(NOT_REPLAYED, "no record ends where the last should")
        return found

    def _header_between(self, first: int, end: int) -> int | None:
        """Return the last sector from `first` to `end` that begins a record."""
        for start in range(end - _WORDS_PER_HEADER, first - _WORDS_PER_HEADER, -_WORDS_PER_HEADER):
            low = max(start, first)
            data = self._read(low, start + _WORDS_PER_HEADER - low)
            for at in range(len(data) - SECTOR_BYTES, -1, -SECTOR_BYTES):
                if data.startswith(_MAGIC_BYTES, at):
                    return low + at // SECTOR_BYTES
        return None


def _cycles(data: bytes) -> Iterator[int]:
    for first, second in struct.iter_unpack(">II504x", data):
        yield second if first == _MAGIC else first


def _matches(header: _Header, sectors: bytes, body: bytes) -> bool:
    from dissect.util.hash import crc32c

    used = -(-header.body_sectors // _WORDS_PER_HEADER) * SECTOR_BYTES
    extensions = [sectors[at : at + _EXTENSION_BYTES] for at in range(SECTOR_BYTES, used, SECTOR_BYTES)]
    rest = b"".join([*extensions, body[: header.length]])
    return any(crc32c.crc32c(sectors[:32] + bytes(4) + sectors[36:end] + rest) == header.crc for end in _HEADER_BYTES)


def _with_its_words(sectors: bytes, body: bytes) -> bytes:
    """Return a record's body with the words that the cycles stand in place of."""
    words = sectors[44 : 44 + _WORDS_PER_HEADER * 4]
    words += b"".join(sectors[at + 4 : at + _EXTENSION_BYTES] for at in range(SECTOR_BYTES, len(sectors), SECTOR_BYTES))
    restored = bytearray(body)
    for at in range(0, len(body), SECTOR_BYTES):
        restored[at : at + 4] = words[at // 128 : at // 128 + 4]
    return bytes(restored)
