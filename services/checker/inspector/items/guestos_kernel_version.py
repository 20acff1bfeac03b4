# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernel it boots."""

from facts import Facts
from findings import Item, Unreadable
from linux.kernels import kernels

NAME = "GUESTOS.KernelVersion"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Tell the newest kernel in /boot, by its header, or by its modules."""
    found = facts.get(kernels)
    if isinstance(found, list) and found:
        return Item(NAME, "ok", value=found[-1].release)
    reason = str(found) if isinstance(found, Unreadable) else "no kernel in /boot and no modules"
    return Item(NAME, "unsupported", "KernelVersion.Unknown", advice=f"the kernel cannot be told: {reason}")
