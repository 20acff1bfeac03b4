# SPDX-License-Identifier: AGPL-3.0-or-later
"""Databases of text: stanzas of fields, parted by empty lines, as dpkg and apk have them. Source: deb822(5).

Only the wanted fields become Python objects: of a list of 200 packages that is some thousand lines of ten thousand.
"""

import re
from collections.abc import Iterator

from findings import Unreadable
from packages.package import text_of

_FIELDS_MAX = 250_000


def stanzas(data: bytes, fields: tuple[str, ...], *, ignore_case: bool = False) -> Iterator[dict[str, str]]:
    """Yield the wanted fields of each stanza that has one; the first of one name counts, lines that go on are passed over.

    Raises `Unreadable` where there are more of them than in any real list.
    """
    words = "|".join(fields).encode()
    lines = re.compile(rb"\n(?:\n*(?=\n)|(" + words + rb"):([^\n]*))", re.IGNORECASE if ignore_case else 0)
    names = {name.lower() if ignore_case else name: name for name in fields}
    found: dict[str, str] = {}
    for count, line in enumerate(lines.finditer(b"\n" + data)):
        if count > _FIELDS_MAX:
            raise Unreadable("PackageListMalformed", f"the package list has more than {_FIELDS_MAX} fields and gaps")
        if line[1] is None:
            if found:
                yield found
            found = {}
        else:
            name = line[1].decode()
            found.setdefault(names[name.lower() if ignore_case else name], text_of(line[2]))
    if found:
        yield found
