# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which version of the distribution, or which edition and release of Windows it is."""

from facts import Facts
from family import family_of
from findings import Item, Unreadable
from items import guestos_platform
from linux.os_release import OsRelease, os_release

NAME = "GUESTOS.OSVersion"
FAMILIES = frozenset({"linux", "windows"})
_KEYS = ("VERSION_ID", "VERSION_CODENAME", "BUILD_ID")
"""A release; the name of one that has no number yet (Debian testing); `rolling` of one that never has (Arch)."""


def judge(facts: Facts) -> Item:
    """Tell platform and version by os-release(5), those of a Windows by its registry."""
    if family_of(facts) == "windows":
        return _of_windows(facts)
    platform, found = guestos_platform.judge(facts).value, facts.get(os_release)
    version = next(filter(None, map(found.values.get, _KEYS)), None) if isinstance(found, OsRelease) else None
    if platform and version and isinstance(found, OsRelease):
        return Item(NAME, "ok", value=f"{platform} {version}", evidence=(found.file.evidence(),))
    return Item(NAME, "unsupported", "OSVersion.Unknown", advice="os-release names no VERSION_ID")


def _of_windows(facts: Facts) -> Item:
    from windows.version import windows

    found = facts.get(windows)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "OSVersion.Unknown", advice=f"the version of Windows cannot be told: {found}")
    return Item(NAME, "ok", value=f"{found.product} {found.release}".strip(), evidence=(found.evidence,))
