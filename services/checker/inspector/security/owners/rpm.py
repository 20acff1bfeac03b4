# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that rpm packages own, and whether they are as they came. Source: rpm, rpmtag.h (FILEDIGESTS)."""

import hashlib
from collections.abc import Iterable, Iterator

from packages.rpm import files, is_there
from tree import Tree

_FILE_BYTES_MAX = 4 * 2**20
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
"""By the length of a digest in hexadecimal."""


def paths(tree: Tree, names: frozenset[str]) -> Iterator[str]:
    """Yield the paths with one of `names`."""
    for path, _ in files(tree, names):
        yield path


def unchanged(tree: Tree, paths: Iterable[str]) -> dict[str, bool]:
    """Return those of `paths` that packages brought, with whether they are as the package brought them."""
    wanted = set(paths)
    found: dict[str, bool] = {}
    if not wanted or not is_there(tree):
        return found
    for path, digest in files(tree, frozenset(path.rpartition("/")[2] for path in wanted)):
        if path in wanted and len(digest) in _ALGORITHMS:
            content = tree.read_head(path, _FILE_BYTES_MAX) or b""
            is_same = hashlib.new(_ALGORITHMS[len(digest)], content, usedforsecurity=False).hexdigest() == digest
            # Of two versions of a package that are both installed, one brought it.
            found[path] = is_same or found.get(path, False)
    return found
