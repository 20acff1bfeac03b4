# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that Arch packages own. Source: pacman, local database (`files` of each package, paths without a leading slash)."""

from collections.abc import Iterator

from findings import Unreadable
from packages.lists import LISTS_MAX, Budget, lines_with
from tree import Tree

_LOCAL = "/var/lib/pacman/local"


def is_there(tree: Tree) -> bool:
    """Whether pacman was used."""
    return tree.is_directory(_LOCAL)


def paths(tree: Tree, names: frozenset[str]) -> Iterator[str]:
    """Yield the paths with one of `names`."""
    budget = Budget()
    packages = tree.names(_LOCAL)
    if len(packages) > LISTS_MAX:
        raise Unreadable("TooManyPackages", f"more than {LISTS_MAX} packages")
    for package in packages:
        for line in lines_with(budget.read(tree, f"{_LOCAL}/{package}/files"), names):
            yield f"/{line}"
