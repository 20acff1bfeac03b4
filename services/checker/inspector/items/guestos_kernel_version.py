# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernel it boots."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.KernelVersion"


def judge(facts: Facts) -> Item:
    """Tell the newest kernel in /boot, by its header, or by its modules."""
    if isinstance(facts.kernels, list) and facts.kernels:
        return Item(NAME, "ok", value=facts.kernels[-1])
    reason = "no kernel in /boot and no modules" if isinstance(facts.kernels, list) else str(facts.kernels)
    return Item(NAME, "unsupported", "KernelVersion.Unknown", advice=f"the kernel cannot be told: {reason}")
