# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which distribution it is, or which Windows."""

from facts import Facts
from family import family_of
from findings import Item, Unreadable
from linux.os_release import OsRelease, os_release

NAME = "GUESTOS.Platform"
FAMILIES = frozenset({"linux", "windows"})
NAMES = {
    "debian": "Debian",
    "ubuntu": "Ubuntu",
    "rhel": "Red Hat",
    "centos": "CentOS",
    "rocky": "Rocky Linux",
    "almalinux": "AlmaLinux",
    "fedora": "Fedora",
    "opensuse": "OpenSUSE",
    "opensuse-leap": "OpenSUSE",
    "opensuse-tumbleweed": "OpenSUSE",
    "sles": "SUSE",
    "arch": "Arch Linux",
    "alpine": "Alpine",
    "amzn": "Amazon Linux",
    "alinux": "Alibaba Cloud Linux",
    "ol": "Oracle Linux",
    "anolis": "Anolis OS",
    "openEuler": "openEuler",
}


def judge(facts: Facts) -> Item:
    """Tell the distribution by os-release(5), or by the file that its distribution had before; a Windows by its registry."""
    if family_of(facts) == "windows":
        return _of_windows(facts)
    found = facts.get(os_release)
    if isinstance(found, OsRelease):
        platform = NAMES.get(found.values.get("ID", "")) or found.values.get("NAME")
        if platform:
            return Item(NAME, "ok", value=platform, evidence=(found.file.evidence(),))
        reason = "os-release has no NAME or ID"
    else:
        reason = str(found)
    return Item(NAME, "unsupported", "Platform.Unknown", advice=f"the distribution cannot be told: {reason}")


def _of_windows(facts: Facts) -> Item:
    from windows.version import windows

    found = facts.get(windows)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Platform.Unknown", advice=f"the version of Windows cannot be told: {found}")
    return Item(NAME, "ok", value=found.platform, evidence=(found.evidence,))
