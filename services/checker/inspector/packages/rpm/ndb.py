# SPDX-License-Identifier: AGPL-3.0-or-later
"""Headers out of SUSE's `Packages.db`. Source: rpm, lib/backend/ndb/rpmpkg.c.

Small enough to be read here: slots of 16 bytes (magic, package, place in units of 16 bytes, units), after them the headers.
"""

import struct
from collections.abc import Iterator

from findings import Unreadable

_PAGE_BYTES = 4096


def headers(data: bytes) -> Iterator[bytes]:
    """Yield every package's header."""
    if data[:4] != b"RpmP" or len(data) < 32:
        raise Unreadable("RpmDatabaseMalformed", "the ndb database has no header")
    pages = struct.unpack_from("<I", data, 12)[0]
    if pages * _PAGE_BYTES > len(data):
        raise Unreadable("RpmDatabaseTruncated", "the ndb database is shorter than its slots")
    for magic, number, place, _ in struct.iter_unpack("<4sIII", data[32 : pages * _PAGE_BYTES]):
        if magic != b"Slot":
            raise Unreadable("RpmDatabaseMalformed", "a slot of the ndb database is none")
        if not number or not place:
            continue
        start = place * 16
        head = data[start : start + 16]
        if len(head) < 16 or head[:4] != b"BlbS" or struct.unpack_from("<I", head, 4)[0] != number:
            raise Unreadable("RpmDatabaseMalformed", "a slot of the ndb database leads to no header")
        end = start + 16 + struct.unpack_from("<I", head, 12)[0]
        if end > len(data):
            raise Unreadable("RpmDatabaseTruncated", "a header of the ndb database ends outside it")
        yield data[start + 16 : end]
