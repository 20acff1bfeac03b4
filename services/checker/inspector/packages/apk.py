# SPDX-License-Identifier: AGPL-3.0-or-later
"""What apk installed. Source: apk-tools, the installed database (P: name, V: version, A: architecture, o: origin)."""

from collections.abc import Iterator

from packages.lists import Budget
from packages.package import Package, built_from
from packages.stanzas import stanzas
from tree import Tree

_PLACES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")


def is_there(tree: Tree) -> bool:
    """Whether apk was used."""
    return any(tree.find_file(path) is not None for path in _PLACES)


def database(tree: Tree) -> bytes:
    """Return the installed database."""
    return Budget().read(tree, next(path for path in _PLACES if tree.find_file(path) is not None))


def packages(tree: Tree) -> Iterator[Package]:
    """Yield the installed packages; an origin has its packages' version."""
    for fields in stanzas(database(tree), ("P", "V", "A", "o")):
        yield built_from(Package(fields.get("P", ""), fields.get("V", ""), fields.get("A")), fields.get("o"), None)
