# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether it boots by BIOS, UEFI or both."""

from boot_mode import boot_mode
from facts import Facts
from findings import Item

NAME = "GUESTOS.BootMode"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Tell the boot mode by boot code, BIOS boot partition and EFI system partition."""
    found = facts.get(boot_mode)
    if isinstance(found, str):
        return Item(NAME, "ok", value=found)
    return Item(NAME, "unsupported", "BootMode.Unknown", advice="neither boot code nor an EFI system partition was found")
