# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which packages are installed, by the databases of dpkg, rpm and apk, told in parts that fit on a line.

The list is the image's own word: it serves a bill of materials and the search for known vulnerabilities, it does not unmask a
forger. pacman's list is not told: nobody publishes its packages' vulnerabilities by version.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from facts import Facts
from findings import Unreadable, attempt, shown
from packages import apk, dpkg, rpm
from packages.distribution import distribution
from packages.package import Package
from tree import Tree

PACKAGES_MAX = 20_000
BYTES_MAX = 3_500_000
"""What all lists together may take: less than the worker takes in, which leaves room for what stands around the packages."""
_PART_BYTES = 512 * 1024
_READERS: tuple[tuple[str, Callable[[Tree], bool], Callable[[Tree], Iterator[Package]]], ...] = (
    ("deb", dpkg.is_there, dpkg.packages),
    ("rpm", rpm.is_there, rpm.packages),
    ("apk", apk.is_there, apk.packages),
)


@dataclass(slots=True)
class Installed:
    """What one database lists. Not `complete`: there is more that could not be told; `error` says why it could not be read."""

    type: str
    namespace: str | None
    distro: str | None
    packages: list[Package] = field(default_factory=list)
    complete: bool = True
    error: str | None = None

    def as_document(self, packages: list[str], *, complete: bool) -> dict[str, Any]:
        """Return a part of the list as JSON-ready data, absent fields left out."""
        head = {"type": self.type, "namespace": self.namespace, "distro": self.distro, "error": self.error}
        return {
            **{name: value for name, value in head.items() if value is not None},
            "complete": complete,
            "packages": [json.loads(one) for one in packages],
        }


def installed(facts: Facts) -> list[Installed]:
    """Probe: what each package database of the image lists; a database that cannot be read is an error, never an empty list."""
    tree = facts.files()
    found = []
    for type_, is_there, read in _READERS:
        there = attempt(lambda is_there=is_there: is_there(tree))  # type: ignore[misc]
        if there is False:
            continue
        listed = Installed(type_, *distribution(facts, type_))
        ended = there if isinstance(there, Unreadable) else attempt(lambda one=listed, read=read: _fill(one, read(tree)))  # type: ignore[misc]
        if isinstance(ended, Unreadable):
            listed.complete, listed.error = False, shown(f"the {type_} package database could not be read: {ended}")
        found.append(listed)
    # On a Debian with rpm's tools, rpm's database is there, and nothing in it.
    is_any = any(listed.packages for listed in found)
    return [listed for listed in found if listed.packages or not listed.complete or not is_any]


def _fill(listed: Installed, packages: Iterator[Package]) -> None:
    strange = 0
    for package in packages:
        if not package.is_real:
            strange += 1
        elif len(listed.packages) < PACKAGES_MAX:
            listed.packages.append(package)
        else:
            listed.complete = False
            return
    if strange:
        raise Unreadable("PackagesMalformed", f"{strange} of its entries have no name or version that a package has")


def documents(facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield what `installed` found, in parts of a list each, none of them long; nothing where there is no database."""
    lists = facts.get(installed)
    left = BYTES_MAX
    for listed in [] if isinstance(lists, Unreadable) else lists:
        part: list[str] = []
        size, complete = 0, listed.complete
        for package in listed.packages:
            text = json.dumps(package.as_document())
            left -= len(text) + 2
            if left < 0:
                complete = False
                break
            part.append(text)
            size += len(text) + 2
            if size >= _PART_BYTES:
                yield listed.as_document(part, complete=True)
                part, size = [], 0
        yield listed.as_document(part, complete=complete)
