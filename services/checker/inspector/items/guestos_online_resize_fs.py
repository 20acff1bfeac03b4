# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the root file system grows to the size of the instance's disk by itself."""

from facts import Facts
from findings import Item, Unreadable
from linux.resize import growing

NAME = "GUESTOS.OnlineResizeFS"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Look for growpart with what it needs, and for cloud-init that runs it; systemd's own way counts as well."""
    found = facts.get(growing)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "OnlineResizeFS.NotReadable", advice=f"it cannot be told: {found}")
    if isinstance(found, str):
        return Item(NAME, "ok", value=found)
    advice = f"{found.text}: the root file system stays at the size of the image"
    return Item(NAME, "warning", found.code, "stays at its size", found.evidence, advice)
