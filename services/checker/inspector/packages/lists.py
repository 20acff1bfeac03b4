# SPDX-License-Identifier: AGPL-3.0-or-later
"""Finding the lines of big lists that end in one of a few names, without making a string of every line."""

import re
from collections.abc import Iterator

from findings import Unreadable
from tree import Tree

TOTAL_BYTES_MAX = 256 * 2**20
LIST_BYTES_MAX = 64 * 2**20
LISTS_MAX = 50_000
LINE_BYTES_MAX = 4096


class Budget:
    """How many bytes of lists are still read, over all of them."""

    def __init__(self) -> None:
        self._left = TOTAL_BYTES_MAX

    def read(self, tree: Tree, path: str) -> bytes:
        """Return the whole list at `path`, nothing where there is none; raises `Unreadable` past the bounds."""
        found = tree.find_file(path)
        if found is None:
            return b""
        size = found.stat().size
        self._left -= size
        if size > LIST_BYTES_MAX or self._left < 0:
            raise Unreadable("PackageListsTooLarge", f"the package lists are larger than any real ones, at {path}")
        return found.read(LIST_BYTES_MAX)


def lines_with(data: bytes, names: frozenset[str]) -> Iterator[str]:
    """Yield the lines, paths of files, that end in a slash and one of `names`."""
    if not names:
        return
    words = b"|".join(re.escape(name.encode(errors="surrogateescape")) for name in sorted(names))
    for match in re.finditer(b"/(?:" + words + b")\n", data):
        start = data.rfind(b"\n", max(0, match.start() - LINE_BYTES_MAX), match.start()) + 1
        yield data[start : match.end() - 1].decode(errors="surrogateescape")
