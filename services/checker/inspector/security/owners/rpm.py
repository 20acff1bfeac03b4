# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that rpm packages own, by the sqlite database, and by SUSE's ndb. Source: rpm, lib/backend (sqlite, ndb), header.c.

Only the headers that hold one of the wanted names are looked into. The database comes into memory whole: nothing is opened.
"""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing

from findings import Unreadable
from tree import Tree

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
_DATABASE_BYTES_MAX = 192 * 2**20
_HEADER_BYTES_MAX = 64 * 2**20
_HEADER_ENTRIES_MAX = 10_000
_STEPS = 10_000
_STEPS_MAX = 5_000  # of _STEPS instructions each: a few seconds
_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES = 1116, 1117, 1118
_NDB_PAGE = 4096


def is_there(tree: Tree) -> bool:
    """Whether rpm was used."""
    return _database(tree) is not None


def paths(tree: Tree, names: frozenset[str]) -> Iterator[str]:
    """Yield the paths with one of `names`. Raises `Unreadable` for Berkeley DB, which no library reads safely."""
    path = _database(tree) or ""
    if path.endswith("/Packages"):
        raise Unreadable("RpmBerkeleyDb", f"{path} is a Berkeley DB, which is not read: rebuild it with rpm 4.16 or newer")
    found = tree.find_file(path)
    if found is None or found.stat().size > _DATABASE_BYTES_MAX:
        raise Unreadable("RpmDatabaseTooLarge", f"{path} has more than {_DATABASE_BYTES_MAX} bytes")
    data = found.read(_DATABASE_BYTES_MAX)
    if path.endswith(".db"):
        yield from _in_headers(_ndb_headers(data), names)
        return
    log = tree.find_file(f"{path}-wal")
    if log is not None and log.stat().size:
        raise Unreadable("RpmDatabaseOpen", f"{path} was not closed: its last changes are in a log beside it")
    yield from _in_headers(_sqlite_headers(data, names), names)


def _database(tree: Tree) -> str | None:
    for folder in _FOLDERS:
        for name in ("rpmdb.sqlite", "Packages.db", "Packages"):
            if tree.find_file(f"{folder}/{name}") is not None:
                return f"{folder}/{name}"
    return None


def _sqlite_headers(data: bytes, names: frozenset[str]) -> Iterator[bytes]:
    """Yield the headers of the packages that have a file of one of `names`, by the index of base names."""
    # A database in write-ahead mode cannot be opened in memory; with an empty log the other mode is the same.
    buffer = data[:18] + b"\x01\x01" + data[20:]
    steps = iter(range(_STEPS_MAX))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(buffer)
        connection.set_progress_handler(lambda: next(steps, None) is None, _STEPS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _HEADER_BYTES_MAX)
        connection.execute("PRAGMA trusted_schema = OFF")
        kinds = dict(connection.execute("SELECT name, type FROM sqlite_master WHERE name IN ('Packages', 'Basenames')"))
        if kinds != {"Packages": "table", "Basenames": "table"}:
            raise Unreadable("RpmDatabaseMalformed", "the rpm database lacks its tables")
        numbers: set[int] = set()
        for name in sorted(names):
            key = name.encode(errors="surrogateescape").decode(errors="replace")
            numbers |= {number for (number,) in connection.execute("SELECT hnum FROM Basenames WHERE key = ?", (key,))}
        for number in sorted(numbers):
            for (blob,) in connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,)):
                if isinstance(blob, bytes):
                    yield blob


def _ndb_headers(data: bytes) -> Iterator[bytes]:
    """Yield all headers: the first page says how many pages of slots there are, a slot where its header is."""
    if data[:4] != b"RpmP" or len(data) < 32:
        raise Unreadable("RpmDatabaseMalformed", "the ndb database has no header")
    pages = struct.unpack("<I", data[12:16])[0]
    for at in range(32, min(pages * _NDB_PAGE, len(data) - 15), 16):
        magic, number, place, _ = struct.unpack("<4sIII", data[at : at + 16])
        if magic != b"Slot" or not number or not place:
            continue
        start = place * 16
        head = data[start : start + 16]
        if len(head) < 16 or head[:4] != b"BlbS":
            raise Unreadable("RpmDatabaseMalformed", "a slot of the ndb database leads to no header")
        length = struct.unpack("<I", head[12:16])[0]
        yield data[start + 16 : start + 16 + min(length, _HEADER_BYTES_MAX)]


def _in_headers(headers: Iterator[bytes], names: frozenset[str]) -> Iterator[str]:
    wanted = {name.encode(errors="surrogateescape") for name in names}
    for header in headers:
        yield from _in_header(header, wanted)


def _in_header(header: bytes, wanted: set[bytes]) -> Iterator[str]:
    """Yield the paths of one package: index entries of 16 bytes (tag, type, place, count), then the values, big end first."""
    entries, size = struct.unpack(">II", header[:8])
    store = header[8 + entries * 16 : 8 + entries * 16 + size]
    if entries > _HEADER_ENTRIES_MAX:
        raise Unreadable("RpmHeaderMalformed", "an rpm header of more entries than any real one")
    places = {}
    for at in range(8, 8 + entries * 16, 16):
        tag, _, place, count = struct.unpack(">IIII", header[at : at + 16])
        places[tag] = (place, count)
    if not {_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES} <= places.keys():
        return
    base_at, base_count = places[_BASE_NAMES]
    dir_at, dir_count = places[_DIR_NAMES]
    index_at, _ = places[_DIR_INDEXES]
    folders: list[bytes] | None = None
    for number, name in enumerate(store[base_at:].split(b"\0", base_count)[:base_count]):
        if name in wanted:
            folders = folders if folders is not None else store[dir_at:].split(b"\0", dir_count)[:dir_count]
            (folder,) = struct.unpack(">I", store[index_at + 4 * number : index_at + 4 * number + 4])
            yield (folders[folder] + name).decode(errors="surrogateescape")
