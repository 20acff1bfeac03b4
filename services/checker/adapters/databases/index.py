"""The index of a vulnerability database: one SQLite file, written once, only ever read afterwards."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.domain.advisories import Advisory, Interval
from shared.contracts.gate import Severity

_VERSION: Final = 1
_TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    CREATE TABLE entries (number INTEGER PRIMARY KEY, id TEXT NOT NULL, names TEXT NOT NULL, severity TEXT) STRICT;
    CREATE TABLE unsorted (release TEXT NOT NULL, package TEXT NOT NULL, entry INTEGER NOT NULL, affected TEXT NOT NULL) STRICT;
    CREATE TABLE exploited (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
# One package's rows lie together, so that a kernel's thousands are a few reads.
_SORTED: Final = """
    CREATE TABLE affected (
        release TEXT NOT NULL, package TEXT NOT NULL, place INTEGER NOT NULL, entry INTEGER NOT NULL, affected TEXT NOT NULL,
        PRIMARY KEY (release, package, place)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO affected SELECT release, package, rowid, entry, affected FROM unsorted ORDER BY release, package, rowid;
    DROP TABLE unsorted;
    CREATE TABLE releases AS SELECT DISTINCT release FROM affected;
    VACUUM;
"""
_FIND: Final = """
    SELECT entries.id, package, names, severity, affected
    FROM affected JOIN entries ON entries.number = affected.entry
    WHERE release = ? AND package IN (SELECT value FROM json_each(?))
"""
_BATCH: Final = 1000


class IndexWriter:
    """Writes an index into `file`, which must not be there yet; `counts` is what went in."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.executescript(_TABLES)
        self._connection.execute("BEGIN")
        self._entries: list[tuple[int, str, str, str | None]] = []
        self._rows: list[tuple[str, str, int, str]] = []
        self._number = 0
        self.counts: Counter[str] = Counter()
        self.releases: set[str] = set()

    def add(self, advisories: Sequence[Advisory]) -> None:
        """Add what one entry of the database says of packages."""
        kept: dict[tuple[tuple[str, ...], str | None], int] = {}
        for one in advisories:
            key = (one.names, one.severity)
            if key not in kept:
                self._number += 1
                kept[key] = self._number
                self._entries.append((self._number, one.id, json.dumps(one.names), one.severity))
            self._rows.append((one.release, one.package, kept[key], _packed(one)))
            self.releases.add(one.release)
        self.counts["entries"] += bool(advisories)
        self.counts["affected packages"] += len(advisories)
        if len(self._rows) >= _BATCH:
            self._flush()

    def add_exploited(self, names: Iterable[str]) -> None:
        """Add vulnerabilities that are known to be exploited."""
        known = sorted(set(names))
        self._connection.executemany("INSERT OR IGNORE INTO exploited VALUES (?)", ((name,) for name in known))
        self.counts["entries"] += len(known)

    def skip(self, why: str, number: int = 1) -> None:
        """Count what was left out."""
        self.counts[f"left out: {why}"] += number

    def finish(self) -> None:
        """Write the index to the disk."""
        self._flush()
        self._connection.execute("COMMIT")
        self._connection.executescript(_SORTED)
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self.close()
        with self._file.open("rb") as written:
            os.fsync(written.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _flush(self) -> None:
        self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", self._entries)
        self._connection.executemany("INSERT INTO unsorted VALUES (?, ?, ?, ?)", self._rows)
        self._entries.clear()
        self._rows.clear()


class Index:
    """An index that is open for reading, in the thread that opened it."""

    def __init__(self, file: Path) -> None:
        try:
            # Immutable: a new index gets a file of its own, so that nobody waits for or sees a change.
            self._connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            self._releases = frozenset(row[0] for row in self._connection.execute("SELECT release FROM releases"))
        except sqlite3.Error as error:
            self.close()
            raise _broken(file, error) from error
        self._file = file
        if version != _VERSION:
            self.close()
            raise _broken(file, f"its format is {version}, {_VERSION} is known here")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def covers(self, release: str) -> bool:
        """Whether it speaks of the release at all."""
        return release in self._releases

    def advisories(self, release: str, packages: Collection[str]) -> Iterator[Advisory]:
        """Yield what it knows of the source packages of that release; raises `DatabaseError` for a damaged file."""
        for row in self._rows(_FIND, release, json.dumps([*packages])):
            try:
                yield _unpacked(release, *row)
            except (ValueError, TypeError, AttributeError) as error:
                raise _broken(self._file, error) from error

    def exploited(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the vulnerabilities that are known to be exploited."""
        statement = "SELECT name FROM exploited WHERE name IN (SELECT value FROM json_each(?))"
        return frozenset(row[0] for row in self._rows(statement, json.dumps([*names])))

    @property
    def lists_exploited(self) -> bool:
        """Whether it says of vulnerabilities that they are exploited, whatever the release."""
        return bool(list(self._rows("SELECT 1 FROM exploited LIMIT 1")))

    def _rows(self, statement: str, *values: str) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise _broken(self._file, error) from error


def _packed(one: Advisory) -> str:
    intervals = [[part.introduced, part.fixed, part.last_affected] for part in one.intervals]
    return json.dumps([intervals, one.versions], separators=(",", ":"))


def _unpacked(release: str, identifier: str, package: str, names: str, severity: Severity | None, affected: str) -> Advisory:
    intervals, versions = json.loads(affected)
    made = tuple(Interval(*part) for part in intervals)
    return Advisory(identifier, release, package, tuple(json.loads(names)), severity, made, tuple(versions))


def _broken(file: Path, why: object) -> DatabaseError:
    return DatabaseError("the database's index is damaged", where=str(file), why=str(why), advice="add the database anew")
