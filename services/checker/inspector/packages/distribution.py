# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whose packages they are, as package URLs name it. Source: the purl type definitions of deb, rpm and apk; os-release(5)."""

import re

from facts import Facts
from findings import Unreadable
from linux.os_release import os_release

_NAMESPACES = {
    "rhel": "redhat",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "opensuse-slowroll": "opensuse",
    "sles_sap": "sles",
}
_TYPES = {
    **dict.fromkeys(("debian", "ubuntu"), "deb"),
    **dict.fromkeys(("rhel", "fedora", "centos", "suse", "opensuse", "sles", "amzn", "alinux", "openeuler", "mariner"), "rpm"),
    "alpine": "apk",
    "arch": "pacman",
}
"""The type of the packages that a family of distributions is made of."""
_ROLLING = frozenset({"opensuse-tumbleweed", "opensuse-slowroll", "arch"})
_WORD = re.compile(r"[a-z0-9][a-z0-9._~+-]{0,30}")


def distribution(facts: Facts, type_: str) -> tuple[str | None, str | None]:
    """Return namespace and `distro` of the packages of `type_` (`debian` and `debian-12`), None where they cannot be told.

    `distro` has the version as os-release gives it, the code name where there is no version yet; a rolling one has none. An rpm
    database on a Debian is nobody's.
    """
    found = facts.get(os_release)
    if isinstance(found, Unreadable):
        return None, None
    identity = found.values.get("ID", "").lower()
    families = [_TYPES[one] for one in (identity, *found.values.get("ID_LIKE", "").lower().split()) if one in _TYPES]
    if not _WORD.fullmatch(identity) or (families and type_ not in families):
        return None, None
    namespace = _NAMESPACES.get(identity, identity)
    name = namespace if identity in {"rhel", "sles_sap"} else identity
    version = found.values.get("VERSION_ID") or found.values.get("VERSION_CODENAME") or ""
    if identity in _ROLLING or not _WORD.fullmatch(version.lower()):
        return namespace, name if identity in _ROLLING else None
    return namespace, f"{name}-{version.lower()}"
