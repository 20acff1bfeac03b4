# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernel it boots."""

from facts import Facts
from family import family_of
from findings import Item, Unreadable
from linux.kernels import kernels

NAME = "GUESTOS.KernelVersion"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Tell the newest kernel in /boot, by its header, or by its modules; a Windows' by the numbers of its build."""
    if family_of(facts) == "windows":
        return _of_windows(facts)
    found = facts.get(kernels)
    if isinstance(found, list) and found:
        return Item(NAME, "ok", value=found[-1].release)
    reason = str(found) if isinstance(found, Unreadable) else "no kernel in /boot and no modules"
    return Item(NAME, "unsupported", "KernelVersion.Unknown", advice=f"the kernel cannot be told: {reason}")


def _of_windows(facts: Facts) -> Item:
    from windows.version import windows

    found = facts.get(windows)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "KernelVersion.Unknown", advice=f"the build of Windows cannot be told: {found}")
    return Item(NAME, "ok", value=found.kernel, evidence=(found.evidence,))
