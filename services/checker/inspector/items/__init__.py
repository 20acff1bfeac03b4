# SPDX-License-Identifier: AGPL-3.0-or-later
"""The check items, one file each: a module with `NAME` and `judge(facts) -> Item`, pure functions of what was found."""

from collections.abc import Callable
from typing import Protocol

from facts import Facts
from findings import Item

from items import (
    guestos_architecture,
    guestos_boot_mode,
    guestos_fstab,
    guestos_kernel_version,
    guestos_os_version,
    guestos_platform,
    guestos_system_image,
    security_disk_format,
    security_encryption,
)


class ItemModule(Protocol):
    """What every file of this folder offers."""

    NAME: str
    judge: Callable[[Facts], Item]


ITEMS = (
    security_disk_format,
    security_encryption,
    guestos_system_image,
    guestos_platform,
    guestos_os_version,
    guestos_architecture,
    guestos_kernel_version,
    guestos_boot_mode,
    guestos_fstab,
)
