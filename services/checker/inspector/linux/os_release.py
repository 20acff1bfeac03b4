# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which distribution it is. Source: os-release(5); before there was one, the distributions' own *-release files."""

import re
from dataclasses import dataclass, field

from facts import Facts
from findings import FileText, Unreadable

_LINES_MAX = 200
_VALUE_CHARACTERS_MAX = 256
_OLDER_FILES = (
    "/etc/centos-release",
    "/etc/oracle-release",
    "/etc/redhat-release",
    "/etc/system-release",
    "/etc/SuSE-release",
    "/etc/alpine-release",
    "/etc/debian_version",
    "/etc/arch-release",
)
_IDS = {
    "CentOS": "centos",
    "Oracle Linux": "ol",
    "Red Hat Enterprise Linux": "rhel",
    "Rocky Linux": "rocky",
    "AlmaLinux": "almalinux",
    "Fedora": "fedora",
    "Amazon Linux": "amzn",
    "Alibaba Cloud Linux": "alinux",
    "Aliyun Linux": "alinux",
    "SUSE Linux Enterprise Server": "sles",
    "openSUSE": "opensuse",
}
_BARE = {"/etc/alpine-release": ("alpine", "Alpine Linux"), "/etc/debian_version": ("debian", "Debian GNU/Linux")}
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class OsRelease:
    """The assignments, and the file they stand in; of an older file ID, NAME and VERSION_ID as os-release would have them."""

    file: FileText
    values: dict[str, str] = field(default_factory=dict)


def os_release(facts: Facts) -> OsRelease:
    """Probe: os-release, /etc before /usr/lib, else an older file. Raises `Unreadable` where there is none."""
    tree = facts.files()
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        file = tree.read_text(path)
        if file is not None:
            return OsRelease(file, _parse(file))
    for path in _OLDER_FILES:
        file = tree.read_text(path)
        values = {} if file is None else _parse_older(file, path)
        if file is not None and values:
            return OsRelease(file, values)
    raise Unreadable("NoOsRelease", "there is no os-release, nor an older file of its kind")


def _parse(file: FileText) -> dict[str, str]:
    """Parse shell-like assignments."""
    values: dict[str, str] = {}
    for line in file.lines[:_LINES_MAX]:
        name, separator, value = line.strip().partition("=")
        if separator and name.isidentifier() and len(value) <= _VALUE_CHARACTERS_MAX:
            values[name] = value.strip().strip("\"'")
    return values


def _parse_older(file: FileText, path: str) -> dict[str, str]:
    """Parse `<name> release <version> (<code name>)`, or a version alone."""
    line = file.lines[0].strip()[:_VALUE_CHARACTERS_MAX]
    if path == "/etc/arch-release":
        return {"ID": "arch", "NAME": "Arch Linux", "BUILD_ID": "rolling"}
    if path in _BARE:
        found = {"ID": _BARE[path][0], "NAME": _BARE[path][1]}
        # Debian's testing has names in place of a number: trixie/sid.
        return found | (
            {"VERSION_ID": line} if _VERSION.match(line) else {"VERSION_CODENAME": line.partition("/")[0]} if line else {}
        )
    name = line.partition(" release ")[0].strip()
    version = _VERSION.search(line)
    values = {key: value for key, value in (("NAME", name), ("VERSION_ID", version[0] if version else "")) if value}
    own = next((identity for start, identity in _IDS.items() if line.startswith(start)), None)
    return values | ({"ID": own} if own else {}) if values else {}
