# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether it boots by BIOS, UEFI or both."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.BootMode"


def judge(facts: Facts) -> Item:
    """Tell the boot mode by boot code, BIOS boot partition and EFI system partition."""
    if isinstance(facts.boot_mode, str):
        return Item(NAME, "ok", value=facts.boot_mode)
    return Item(NAME, "unsupported", "BootMode.Unknown", advice="neither boot code nor an EFI system partition was found")
