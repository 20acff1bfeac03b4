# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files that Alpine packages own. Source: apk-tools, the installed database (F: a folder, R: a file in it)."""

import re
from collections.abc import Iterator

from packages.apk import database
from tree import Tree


def paths(tree: Tree, names: frozenset[str]) -> Iterator[str]:
    """Yield the paths with one of `names`."""
    words = b"|".join(re.escape(name.encode(errors="surrogateescape")) for name in sorted(names))
    folder = ""
    for line in re.finditer(rb"(?m)^(?:F:([^\n]{0,4096})|R:(" + words + rb"))$", database(tree)):
        text = (line[2] if line[1] is None else line[1]).decode(errors="surrogateescape")
        if line[1] is not None:
            folder = f"/{text.strip('/')}" if text else ""
        else:
            yield f"{folder}/{text}"
