# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which distribution it is. Source: os-release(5)."""

from dataclasses import dataclass, field

from facts import Facts
from findings import FileText, Unreadable

_LINES_MAX = 200
_VALUE_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class OsRelease:
    """The assignments, and the file they stand in."""

    file: FileText
    values: dict[str, str] = field(default_factory=dict)


def os_release(facts: Facts) -> OsRelease:
    """Probe: os-release, /etc before /usr/lib. Raises `Unreadable` where there is none."""
    tree = facts.files()
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        file = tree.read_text(path)
        if file is not None:
            return OsRelease(file, _parse(file))
    raise Unreadable("NoOsRelease", "there is no os-release")


def _parse(file: FileText) -> dict[str, str]:
    """Parse shell-like assignments."""
    values: dict[str, str] = {}
    for line in file.lines[:_LINES_MAX]:
        name, separator, value = line.strip().partition("=")
        if separator and name.isidentifier() and len(value) <= _VALUE_CHARACTERS_MAX:
            values[name] = value.strip().strip("\"'")
    return values
