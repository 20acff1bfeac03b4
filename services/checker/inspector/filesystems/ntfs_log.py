# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether an NTFS is as Windows will find it: what its journal still holds is written at the next mount, and is not read here.

Sources: Linux, fs/ntfs/logfile.h and logfile.c (the two restart pages, and when a volume counts as clean); ntfs-3g, volume.c
(hibernation).
"""

import struct
from typing import BinaryIO, NamedTuple

_PAGE_SIZES = tuple(1 << bits for bits in range(9, 16))
_READ_BYTES = 2 * _PAGE_SIZES[-1]
_HEADER = struct.Struct("<4sHHQIIHHH")
"""A page's magic, place and length of its update sequence, number of chkdsk's last change, bytes of a page of the system and of
the log, where in it the restart area is, and the journal's version, the lesser part first."""
_AREA = struct.Struct("<QHHHH")
"""The number of the last change, how many clients there are, the first that is free and the first that is not, and flags."""
_MAGICS = (b"RSTR", b"CHKD")
"""Of a page as Windows leaves it, and as its chkdsk does."""
_FAST_START = (2, 0)
"""The version of a journal while Windows keeps in memory what it knows of the volume, for a start that is faster."""
_NO_CLIENT = 0xFFFF
_IS_CLEAN = 0x0002
_SECTOR = 512
_HIBERNATED = frozenset({b"hibr", b"HIBR"})
_SLEEPS = "Windows was hibernated, or shut down with its fast start-up: it goes on from memory, which is not looked into"


class _Restart(NamedTuple):
    last_change: int
    is_clean: bool
    version: tuple[int, int]


def outstanding(log: BinaryIO) -> str | None:
    """Return why the journal `log` (`$LogFile`) may still change the volume, a clause; None if nothing is left in it to write.

    A journal that is all ones is one that was emptied, and the newer of two restart pages counts, as for Linux. A page that was
    written in part, or makes no sense, counts as outstanding whatever the other one says.
    """
    first = log.read(_READ_BYTES)
    if first and not first.strip(b"\xff"):
        return None
    pages = [first] if first[:4] in _MAGICS else []
    second_at = next((at for at in _PAGE_SIZES if first[at : at + 4] in _MAGICS), None)
    if second_at is not None:
        log.seek(second_at)
        pages.append(log.read(_READ_BYTES))
    found = [_restart(page) for page in pages]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return "its journal ($LogFile) is damaged"
    newest = max(known)
    if newest.version == _FAST_START:
        return _SLEEPS
    if not newest.is_clean:
        return "its journal ($LogFile) was in use: what it holds is written when Windows starts, and is not read here"
    return None


def hibernated(start: bytes) -> str | None:
    """Return a clause if `start`, of a volume's hiberfil.sys, is that of a Windows which was hibernated and not shut down."""
    return _SLEEPS if start[:4] in _HIBERNATED else None


def _restart(page: bytes) -> _Restart | None:
    """Return what a restart page says; None if it is none, or one that was written in part.

    What is asked of it lies before the last two bytes of its first sector, which are kept elsewhere while the page is on disk.
    """
    if len(page) < _SECTOR:
        return None
    magic, sequence_at, sequence_words, _, page_bytes, log_page_bytes, area_at, *version = _HEADER.unpack_from(page)
    if magic not in _MAGICS or page_bytes not in _PAGE_SIZES or log_page_bytes not in _PAGE_SIZES or len(page) < page_bytes:
        return None
    if sequence_words != page_bytes // _SECTOR + 1 or sequence_at % 2 or not _HEADER.size <= sequence_at < area_at:
        return None
    if area_at % 8 or sequence_at + 2 * sequence_words > area_at or area_at + _AREA.size > _SECTOR - 2:
        return None
    mark = page[sequence_at : sequence_at + 2]
    if any(page[end - 2 : end] != mark for end in range(_SECTOR, page_bytes + 1, _SECTOR)):
        return None
    last_change, _, _, in_use, flags = _AREA.unpack_from(page, area_at)
    is_clean = in_use == _NO_CLIENT or bool(flags & _IS_CLEAN)
    return _Restart(last_change, is_clean, (version[1], version[0]))
