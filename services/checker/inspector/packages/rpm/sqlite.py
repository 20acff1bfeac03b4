# SPDX-License-Identifier: AGPL-3.0-or-later
"""Headers out of `rpmdb.sqlite`. Source: rpm, lib/backend/sqlite.c. The database is in memory: nothing is opened."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

from findings import Unreadable
from packages.rpm.header import BYTES_MAX

_CPU_S_MAX = 5.0
_STEPS = 10_000
_SQL_BYTES_MAX = 64 * 1024
_COLUMNS = {"Packages": {"hnum", "blob"}, "Basenames": {"key", "hnum"}}


def headers(data: bytearray, names: frozenset[str] | None = None) -> Iterator[bytes]:
    """Yield every package's header, or those of packages that have a file of one of `names`, by rpm's own index of them.

    The bytes are taken over: they are many, and SQLite keeps a copy of its own.
    """
    with closing(_opened(data, "Packages", *(() if names is None else ("Basenames",)))) as connection:
        if names is None:
            yield from _blobs(connection.execute("SELECT blob FROM Packages"))
            return
        numbers: set[int] = set()
        for name in sorted(names):
            key = name.encode(errors="surrogateescape").decode(errors="replace")
            numbers |= {number for (number,) in connection.execute("SELECT hnum FROM Basenames WHERE key = ?", (key,))}
        for number in sorted(numbers):
            yield from _blobs(connection.execute("SELECT blob FROM Packages WHERE hnum = ?", (number,)))


def _opened(data: bytearray, *tables: str) -> sqlite3.Connection:
    """Return the database, its tables looked at: views, virtual tables and computed columns run a stranger's expressions."""
    connection = sqlite3.connect(":memory:")
    try:
        # A database in write-ahead mode cannot be opened in memory; with an empty log the other mode is the same.
        data[18:20] = b"\x01\x01"
        connection.deserialize(data)
        data.clear()
        deadline = time.process_time() + _CPU_S_MAX
        connection.set_progress_handler(lambda: time.process_time() > deadline, _STEPS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, BYTES_MAX)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _SQL_BYTES_MAX)
        connection.execute("PRAGMA trusted_schema = OFF")
        for table in tables:
            kinds = connection.execute("SELECT type, rootpage > 0 FROM sqlite_master WHERE name = ?", (table,)).fetchall()
            columns = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
            computed = any(hidden for *_, hidden in columns)
            if kinds != [("table", 1)] or computed or not _COLUMNS[table] <= {name for _, name, *_ in columns}:
                raise Unreadable("RpmDatabaseMalformed", f"the rpm database has no table {table} as rpm makes it")
    except BaseException:
        connection.close()
        raise
    return connection


def _blobs(rows: sqlite3.Cursor) -> Iterator[bytes]:
    for (blob,) in rows:
        if not isinstance(blob, bytes):
            raise Unreadable("RpmDatabaseMalformed", "a header in the rpm database is none")
        yield blob
