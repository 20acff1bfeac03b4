# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether each kernel can reach an NVMe disk before its root file system is mounted."""

from facts import Facts
from findings import Item, Unreadable
from items.guestos_virtio import judge_drivers, told
from linux.drivers import DISK_NVME, drivers

NAME = "GUESTOS.Nvme"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Look for the driver among those built in, and in the initramfs, of every kernel that can boot."""
    found = facts.get(drivers)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Nvme.NotReadable", advice=f"the drivers cannot be told: {found}")
    ok = Item(NAME, "ok", value=tuple(told(one, DISK_NVME) for one in found))
    return judge_drivers(NAME, "warning", DISK_NVME, found) or ok
