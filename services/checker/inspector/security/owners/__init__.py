# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which files a package owns, by the databases of dpkg, rpm, apk and pacman.

The databases are part of the image: they tell a vendor's slip from what a package brought, they do not unmask a forger.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from facts import Facts
from findings import Unreadable, attempt
from packages import apk as apk_list
from packages import dpkg as dpkg_list
from packages import rpm as rpm_list
from security.owners import apk, dpkg, pacman, rpm
from tree import Tree

_DIRECTORIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Database:
    """A package database: its manager, and `paths`, which yields the owned files that have one of the given names."""

    manager: str
    paths: Callable[[Tree, frozenset[str]], Iterator[str]]


_DATABASES = (
    (dpkg_list.is_there, Database("dpkg", dpkg.paths)),
    (rpm_list.is_there, Database("rpm", rpm.paths)),
    (apk_list.is_there, Database("apk", apk.paths)),
    (pacman.is_there, Database("pacman", pacman.paths)),
)


def databases(facts: Facts) -> list[Database]:
    """Probe: the package databases that the image has."""
    tree = facts.files()
    return [database for is_there, database in _DATABASES if is_there(tree)]


def owned(facts: Facts, paths: Iterable[str]) -> set[str] | Unreadable:
    """Return those of `paths` that a package owns, or why that cannot be told.

    Lists name files where they were before /usr was merged: a listed path counts for the one that its folder leads to.
    """
    known = facts.get(databases)
    if isinstance(known, Unreadable):
        return known
    if not known:
        return Unreadable("NoPackages", "there is no package database of dpkg, rpm, apk or pacman")
    wanted = set(paths)
    names = frozenset(path.rpartition("/")[2] for path in wanted)
    tree = facts.files()
    folders: dict[str, str | None] = {}
    found: set[str] = set()
    for database in known:
        ended = attempt(lambda database=database: _take(database, tree, names, wanted, folders, found))  # type: ignore[misc]
        if isinstance(ended, Unreadable):
            return ended
    return found


def unchanged(facts: Facts, paths: Iterable[str]) -> dict[str, bool]:
    """Return those of `paths` that packages brought, with whether nobody changed them: of dpkg its configuration, of rpm all."""
    wanted = list(paths)
    found: dict[str, bool] = {}
    for known in (dpkg.conffiles, rpm.unchanged):
        told = attempt(lambda known=known: known(facts.files(), wanted))  # type: ignore[misc]
        found |= {} if isinstance(told, Unreadable) else told
    return found


def _take(
    database: Database, tree: Tree, names: frozenset[str], wanted: set[str], folders: dict[str, str | None], found: set[str]
) -> None:
    for path in database.paths(tree, names) if wanted else ():
        folder, _, name = path.rpartition("/")
        if path in wanted:
            found.add(path)
            continue
        if folder not in folders:
            if len(folders) >= _DIRECTORIES_MAX:
                raise Unreadable("TooManyFolders", "the package database names more folders than any real one")
            there = attempt(lambda folder=folder: tree.find(folder or "/"))  # type: ignore[misc]
            folders[folder] = None if there is None or isinstance(there, Unreadable) else there.path.rstrip("/")
        real = f"{folders[folder]}/{name}"
        if folders[folder] is not None and real in wanted:
            found.add(real)
