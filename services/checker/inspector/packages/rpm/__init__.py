# SPDX-License-Identifier: AGPL-3.0-or-later
"""What rpm installed, by its database: sqlite, SUSE's ndb, or Berkeley DB before rpm 4.16. Source: rpm, lib/backend."""

from collections.abc import Iterator

from findings import Unreadable
from packages.package import Package
from packages.rpm import berkeley, ndb, sqlite
from packages.rpm.header import Header, package_of
from tree import Found, Tree

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
_SQLITE, _NDB, _BERKELEY = "rpmdb.sqlite", "Packages.db", "Packages"
_DATABASE_BYTES_MAX = 256 * 2**20


def is_there(tree: Tree) -> bool:
    """Whether rpm was used."""
    return _database(tree) is not None


def packages(tree: Tree) -> Iterator[Package]:
    """Yield the installed packages."""
    for blob in _headers(tree):
        package = package_of(blob)
        if package is not None:
            yield package


def files(tree: Tree, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield path and digest (hexadecimal, empty if there is none) of the packages' files that have one of `names`."""
    wanted = {name.encode(errors="surrogateescape") for name in names}
    for blob in _headers(tree, names):
        yield from Header(blob).files(wanted)


def _database(tree: Tree) -> str | None:
    places = (f"{folder}/{name}" for folder in _FOLDERS for name in (_SQLITE, _NDB, _BERKELEY))
    return next((path for path in places if tree.find_file(path) is not None), None)


def _headers(tree: Tree, names: frozenset[str] | None = None) -> Iterator[bytes]:
    """Yield the headers, or at least those of packages that have a file of one of `names`.

    Each lies somewhere of its own in the database: together they are no longer than it.
    """
    path = _database(tree) or ""
    found = tree.find_file(path)
    if found is None or found.stat().size > _DATABASE_BYTES_MAX:
        raise Unreadable("RpmDatabaseTooLarge", f"{path} has more than {_DATABASE_BYTES_MAX} bytes")
    left = found.stat().size
    for blob in _by_kind(tree, found, path, names):
        left -= len(blob)
        if left < 0:
            raise Unreadable("RpmDatabaseMalformed", "the packages' headers are longer than the rpm database that holds them")
        yield blob


def _by_kind(tree: Tree, found: Found, path: str, names: frozenset[str] | None) -> Iterator[bytes]:
    kind = path.rpartition("/")[2]
    if kind == _BERKELEY:
        return berkeley.headers(found.read(_DATABASE_BYTES_MAX))
    if kind == _NDB:
        return ndb.headers(found.read(_DATABASE_BYTES_MAX))
    log = tree.find_file(f"{path}-wal")
    if log is not None and log.stat().size:
        raise Unreadable("RpmDatabaseOpen", f"{path} was not closed: its last changes are in a log beside it")
    return sqlite.headers(bytearray(found.read(_DATABASE_BYTES_MAX)), names)
