# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that Debian packages own. Source: deb-src's dpkg-query(1) for the lists, dpkg-divert(1) for what was moved."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from findings import Unreadable
from packages.dpkg import STATUS, STATUS_D
from packages.lists import LISTS_MAX, Budget, lines_with
from tree import Tree

_INFO = "/var/lib/dpkg/info"
_DIVERSIONS = "/var/lib/dpkg/diversions"
_CONFFILE_BYTES_MAX = 4 * 2**20


def paths(tree: Tree, names: frozenset[str]) -> Iterator[str]:
    """Yield the paths with one of `names`; of a file that was diverted the place where it is now."""
    budget = Budget()
    diverted = _diversions(budget.read(tree, _DIVERSIONS))
    origins = {path.rpartition("/")[2] for path, to in diverted.items() if to.rpartition("/")[2] in names}
    lists = [f"{_INFO}/{name}" for name in tree.names(_INFO) if name.endswith(".list")]
    if len(lists) > LISTS_MAX:
        raise Unreadable("TooManyPackages", f"more than {LISTS_MAX} packages")
    for path in lists:
        for line in lines_with(budget.read(tree, path), names | origins):
            yield line
            if line in diverted:
                yield diverted[line]
    # Images without a shell have lists of digests in place of the above: "<md5>  usr/bin/x".
    for name in tree.names(STATUS_D)[:LISTS_MAX]:
        if name.endswith(".md5sums"):
            for line in lines_with(budget.read(tree, f"{STATUS_D}/{name}"), names):
                yield "/" + line.partition("  ")[2].removeprefix("./").lstrip("/")


def conffiles(tree: Tree, paths: Iterable[str]) -> dict[str, bool]:
    """Return those of `paths` that are configuration files of packages, with whether they are as the package brought them."""
    words = b"|".join(re.escape(path.encode(errors="surrogateescape")) for path in sorted(paths))
    found = {}
    # In a package's field Conffiles: a blank, the path, its MD5, and `obsolete` where a newer version has it no more.
    for line in re.finditer(
        rb"(?m)^ (" + words + rb") ([0-9a-f]{32})(?: obsolete)?$", Budget().read(tree, STATUS) if words else b""
    ):
        path = line[1].decode(errors="surrogateescape")
        content = tree.read_head(path, _CONFFILE_BYTES_MAX) or b""
        found[path] = hashlib.md5(content, usedforsecurity=False).hexdigest().encode() == line[2]
    return found


def _diversions(data: bytes) -> dict[str, str]:
    """Return where each diverted path went: three lines each, the path, its new place, the package."""
    lines = data.decode(errors="surrogateescape").split("\n")
    return dict(zip(lines[0::3], lines[1::3], strict=False))
