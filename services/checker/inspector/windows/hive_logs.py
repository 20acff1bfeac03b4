# SPDX-License-Identifier: AGPL-3.0-or-later
"""Transaction logs of hives: what a kernel writes into a hive that was not closed, before it reads it.

Source: M. Suhanov, Windows registry file format specification, both formats of logs. Without this a hive shows what it was, and a
change that waits in the log would be passed over.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from findings import Unreadable

LOG_BYTES_MAX = 8 * 2**20
"""A kernel reconciles a log long before it grows to this."""
_SECTOR = 512
_ENTRIES_MAX = 4096
_PAGES_MAX = 16384
_SEED = (0x7A4E55C5, 0x82EF4D88)
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Log:
    """A log file beside a hive: its path, its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the logs change: (offset in the hive bins, bytes) in the order of writing, and the bins' new size if it changes.

    `base` is the base block to take in place of the hive's own; `entries` is how many entries of logs were applied.
    """

    pages: tuple[tuple[int, bytes], ...] = ()
    bins_bytes: int | None = None
    base: bytes | None = None
    entries: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    bins_bytes: int
    pages: tuple[tuple[int, bytes], ...]


def recovery(path: str, base: bytes, logs: tuple[Log, ...]) -> Recovery:
    """Return what to apply to a hive with this base block; raises `Unreadable` for a dirty one that no log makes whole."""
    primary, secondary = struct.unpack_from("<II", base, 4)
    if primary == secondary:
        return Recovery()
    found = _new_format(secondary, logs) or _old_format(base, logs)
    if found is None:
        raise Unreadable("HiveDirty", f"{path} was not closed, and no log beside it has what is missing")
    return found


def _new_format(secondary: int, logs: tuple[Log, ...]) -> Recovery | None:
    """Join the entries of all logs by their numbers: from the first that the hive lacks until one is missing."""
    known: dict[int, _Entry] = {}
    starts = []
    for log in logs:
        entries = list(_entries(log.data))
        if entries and entries[0].sequence >= secondary:
            starts.append(entries[0].sequence)
        for entry in entries:
            known.setdefault(entry.sequence, entry)
    if not starts:
        return None
    number, pages, bins = min(starts), list[tuple[int, bytes]](), 0
    first = number
    while number in known:
        pages += known[number].pages
        bins = known[number].bins_bytes
        number += 1
    return Recovery(tuple(pages), bins, None, number - first)


def _entries(data: bytes) -> Iterator[_Entry]:
    """Yield the entries of a log that follow each other from the number in its base block on, and are whole."""
    if data[:4] != b"regf" or len(data) < 2 * _SECTOR:
        return
    wanted = struct.unpack_from("<I", data, 4)[0]
    at = _SECTOR
    for _ in range(_ENTRIES_MAX):
        header = data[at : at + 40]
        if header[:4] != b"HvLE" or len(header) < 40:
            return
        size, _, sequence, bins, count, first, second = struct.unpack_from("<IIIIIQQ", header, 4)
        if sequence != wanted or bins % 4096 or count > _PAGES_MAX:
            return
        if size % _SECTOR or not 40 + 8 * count <= size <= len(data) - at:
            return
        body = data[at + 40 : at + size]
        if _marvin32(header[:32]) != second or _marvin32(body) != first:
            return
        pages = _pages(body, count)
        if pages is None:
            return
        yield _Entry(sequence, bins, pages)
        wanted, at = wanted + 1, at + size


def _pages(body: bytes, count: int) -> tuple[tuple[int, bytes], ...] | None:
    pages, at = [], 8 * count
    for offset, size in struct.iter_unpack("<II", body[: 8 * count]):
        if at + size > len(body) or not size or offset % _SECTOR or size % _SECTOR:
            return None
        pages.append((offset, body[at : at + size]))
        at += size
    return tuple(pages)


def _old_format(base: bytes, logs: tuple[Log, ...]) -> Recovery | None:
    """Take the first log that was written whole for this hive as it is: until Windows 8 a log has a map of dirty pages."""
    for log in logs:
        data = log.data
        if data[:4] != b"regf" or data[_SECTOR : _SECTOR + 4] != b"DIRT" or data[12:20] != base[12:20] or data[4:8] != data[8:12]:
            continue
        bins = struct.unpack_from("<I", data, 40)[0]
        bits = data[_SECTOR + 4 : _SECTOR + 4 + bins // _SECTOR // 8]
        at = _SECTOR + -(-(4 + len(bits)) // _SECTOR) * _SECTOR
        pages = []
        for number in (8 * place + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1):
            page = data[at : at + _SECTOR]
            if len(page) < _SECTOR:
                break
            pages.append((number * _SECTOR, page))
            at += _SECTOR
        else:
            if pages and bins:
                return Recovery(_joined(pages), bins, data[:_SECTOR], 1)
    return None


def _joined(pages: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Return neighbouring pages as one: there may be as many as bits in the map."""
    runs: list[tuple[int, list[bytes]]] = []
    for at, page in pages:
        if runs and runs[-1][0] + _SECTOR * len(runs[-1][1]) == at:
            runs[-1][1].append(page)
        else:
            runs.append((at, [page]))
    return tuple((at, b"".join(parts)) for at, parts in runs)


def _marvin32(data: bytes) -> int:
    """Return the Marvin32 hash of the data, with the registry's seed. Source: Microsoft, SymCrypt, marvin32.c."""
    low, high = _SEED
    whole = len(data) & ~3
    last = int.from_bytes(data[whole:] + b"\x80", "little")
    for word in (*struct.unpack(f"<{whole // 4}I", data[:whole]), last, 0):
        low = (low + word) & _WORD
        high ^= low
        low = ((low << 20 | low >> 12) + high) & _WORD
        high = (high << 9 | high >> 23) & _WORD ^ low
        low = ((low << 27 | low >> 5) + high) & _WORD
        high = (high << 19 | high >> 13) & _WORD
    return high << 32 | low
