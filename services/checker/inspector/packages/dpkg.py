# SPDX-License-Identifier: AGPL-3.0-or-later
"""What dpkg installed. Source: dpkg-query(1) for the states, deb-control(5) for the fields."""

import re
from collections.abc import Iterator

from packages.lists import LISTS_MAX, Budget
from packages.package import Package, built_from
from packages.stanzas import stanzas
from tree import Tree

STATUS = "/var/lib/dpkg/status"
STATUS_D = "/var/lib/dpkg/status.d"
_FIELDS = ("Package", "Status", "Version", "Architecture", "Source")
_GONE = frozenset({"not-installed", "config-files"})
_SOURCE = re.compile(r"(\S+)(?:\s+\(([^()]*)\))?")


def is_there(tree: Tree) -> bool:
    """Whether dpkg was used."""
    return tree.find_file(STATUS) is not None or tree.is_directory(STATUS_D)


def packages(tree: Tree) -> Iterator[Package]:
    """Yield the packages whose files are there: half-way installed ones too, not those of which only configuration is left.

    Images without a shell have a file for each package, without a status: what is listed there is installed.
    """
    budget = Budget()
    for path in (STATUS, *(f"{STATUS_D}/{name}" for name in tree.names(STATUS_D)[:LISTS_MAX] if not name.endswith(".md5sums"))):
        for fields in stanzas(budget.read(tree, path), _FIELDS, ignore_case=True):
            if fields.get("Status", "").rpartition(" ")[2] not in _GONE:
                yield _package(fields)


def _package(fields: dict[str, str]) -> Package:
    package = Package(fields.get("Package", ""), fields.get("Version", ""), fields.get("Architecture"))
    source = _SOURCE.fullmatch(fields.get("Source", ""))
    return package if source is None else built_from(package, source[1], source[2])
