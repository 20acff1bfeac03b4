# SPDX-License-Identifier: AGPL-3.0-or-later
"""Headers out of the Berkeley DB hash `Packages` of rpm before 4.16. Source: Berkeley DB, src/dbinc/db_page.h.

The library itself opens files by name and trusts them, so the little that is needed is read here: hash pages hold pairs of key
and value, a header is a value too large for its page and lies in a chain of overflow pages.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from findings import Unreadable

_HASH_MAGIC = 0x061561
_VERSIONS = range(5, 11)
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
_HEAD_BYTES = 26
_OVERFLOW, _HASH_UNSORTED, _HASH = 7, 2, 13
_IN_PAGE, _OFF_PAGE = 1, 3


def headers(data: bytes) -> Iterator[bytes]:
    """Yield every package's header."""
    database = _opened(data)
    for number in range(1, database.pages):
        if data[number * database.page_bytes + 25] in (_HASH, _HASH_UNSORTED):
            yield from database.values(number)


def _opened(data: bytes) -> "_Database":
    for order in "<>" if len(data) >= 72 else "":
        magic, version, page_bytes, encryption, _, flags, _, _, last = struct.unpack_from(f"{order}IIIBBBBII", data, 12)
        if magic == _HASH_MAGIC and version in _VERSIONS and page_bytes in _PAGE_SIZES and not encryption and not flags & 1:
            if (last + 1) * page_bytes > len(data):
                raise Unreadable("RpmDatabaseTruncated", "the Berkeley DB has fewer pages than it says")
            return _Database(data, order, page_bytes, last + 1)
    raise Unreadable("RpmDatabaseMalformed", "the rpm database is no Berkeley DB hash, or an encrypted one")


@dataclass(slots=True)
class _Database:
    data: bytes
    order: str
    page_bytes: int
    pages: int
    chained: set[int] = field(default_factory=set)

    def values(self, number: int) -> Iterator[bytes]:
        """Yield the headers of one hash page: keys at even places, values at odd ones, each from its place to the one before."""
        page = self.data[number * self.page_bytes : (number + 1) * self.page_bytes]
        (count,) = struct.unpack_from(f"{self.order}H", page, 20)
        if _HEAD_BYTES + 2 * count > self.page_bytes or count % 2:
            raise Unreadable("RpmDatabaseMalformed", "a page of the Berkeley DB has more entries than fit")
        places = struct.unpack_from(f"{self.order}{count}H", page, _HEAD_BYTES)
        for at in range(1, count, 2):
            start, end = places[at], places[at - 1]
            if not _HEAD_BYTES + 2 * count <= start < end < self.page_bytes:
                raise Unreadable("RpmDatabaseMalformed", "an entry of the Berkeley DB lies outside its page")
            if page[start] == _OFF_PAGE and end - start >= 12:
                yield self._chain(*struct.unpack_from(f"{self.order}II", page, start + 4))
            elif page[start] != _IN_PAGE:
                raise Unreadable("RpmDatabaseMalformed", "an entry of the Berkeley DB is of no kind that rpm writes")
            elif end - start > 8:
                # What is shorter is the number that the next package gets.
                yield page[start + 1 : end]

    def _chain(self, number: int, length: int) -> bytes:
        """Return a value that lies in overflow pages; each of them is a part of one value only, so that no chain is endless."""
        parts = []
        while length:
            if not 0 < number < self.pages or number in self.chained:
                raise Unreadable("RpmDatabaseMalformed", "a chain of pages of the Berkeley DB leads out of it, or back")
            self.chained.add(number)
            start = number * self.page_bytes
            next_number, _, used, _, kind = struct.unpack_from(f"{self.order}IHHBB", self.data, start + 16)
            if kind != _OVERFLOW or not 0 < used <= min(length, self.page_bytes - _HEAD_BYTES):
                raise Unreadable("RpmDatabaseMalformed", "a page of a chain of the Berkeley DB is none")
            parts.append(self.data[start + _HEAD_BYTES : start + _HEAD_BYTES + used])
            number, length = next_number, length - used
        return b"".join(parts)
