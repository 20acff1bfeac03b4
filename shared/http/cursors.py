"""Opaque cursors for keyset paging: the last row's place, bound to the query it was handed out for.

A cursor grants nothing: it only says where a page begins, and who may see which row is decided by the query itself. The digest in
it tells a cursor that was damaged, or taken from another query, from a good one; it is no secret.
"""

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.http.problems import QueryRefused

CURSOR_CHARACTERS_MAX: Final = 200
_DIGEST_BYTES: Final = 8
_TIME_BYTES: Final = 8
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode_cursor(query: str, time: datetime, key: str) -> str:
    """Return the cursor that continues `query` after the row of `time` (to the microsecond) and `key`."""
    place = ((time - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES, "big", signed=True) + key.encode()
    return base64.urlsafe_b64encode(_digest(query, place) + place).rstrip(b"=").decode()


def decode_cursor(query: str, cursor: str) -> tuple[datetime, str]:
    """Return the place that `encode_cursor` was given for the same `query`; raises `QueryRefused` otherwise."""
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, place = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        microseconds = int.from_bytes(place[:_TIME_BYTES], "big", signed=True)
        time, key = _EPOCH + microseconds * _MICROSECOND, place[_TIME_BYTES:].decode("ascii")
    except (ValueError, OverflowError, binascii.Error) as error:
        raise _refused() from error
    if digest != _digest(query, place) or not key:
        raise _refused()
    return time, key


def _digest(query: str, place: bytes) -> bytes:
    return hashlib.blake2b(query.encode() + b"\x00" + place, digest_size=_DIGEST_BYTES).digest()


def _refused() -> QueryRefused:
    advice = "take `next_cursor` from the page before, with the same other parameters; leave it out to begin anew"
    problem = {"code": "InvalidParameter", "field": "cursor", "advice": advice}
    return QueryRefused(400, "InvalidParameter", "the cursor does not belong to this query", [problem])
