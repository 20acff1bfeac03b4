# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which version of the distribution it is."""

from facts import Facts
from findings import Item

from items import guestos_platform

NAME = "GUESTOS.OSVersion"


def judge(facts: Facts) -> Item:
    """Tell platform and version by os-release(5)."""
    platform = guestos_platform.judge(facts).value
    version = facts.os_release.get("VERSION_ID") if isinstance(facts.os_release, dict) else None
    if platform and version and facts.os_release_file is not None:
        return Item(NAME, "ok", value=f"{platform} {version}", evidence=(facts.os_release_file.evidence(),))
    return Item(NAME, "unsupported", "OSVersion.Unknown", advice="os-release names no VERSION_ID")
