# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which distribution it is."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.Platform"
NAMES = {
    "debian": "Debian",
    "ubuntu": "Ubuntu",
    "rhel": "Red Hat",
    "centos": "CentOS",
    "rocky": "Rocky Linux",
    "almalinux": "AlmaLinux",
    "fedora": "Fedora",
    "opensuse-leap": "OpenSUSE",
    "sles": "SUSE",
    "arch": "Arch Linux",
    "alpine": "Alpine",
    "amzn": "Amazon Linux",
    "alinux": "Alibaba Cloud Linux",
}


def judge(facts: Facts) -> Item:
    """Tell the distribution by os-release(5)."""
    if isinstance(facts.os_release, dict):
        platform = NAMES.get(facts.os_release.get("ID", "")) or facts.os_release.get("NAME")
        if platform and facts.os_release_file is not None:
            return Item(NAME, "ok", value=platform, evidence=(facts.os_release_file.evidence(),))
        reason = "there is no os-release with a NAME or ID"
    else:
        reason = str(facts.os_release)
    return Item(NAME, "unsupported", "Platform.Unknown", advice=f"the distribution cannot be told: {reason}")
