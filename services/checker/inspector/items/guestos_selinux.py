# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether SELinux is off: a changed image whose files lost their labels may not start under it."""

from facts import Facts
from findings import Item, Unreadable
from linux.selinux import selinux_mode

NAME = "GUESTOS.Selinux"
FAMILIES = frozenset({"linux"})
_CODES = {"enforcing": "Selinux.Enforcing", "permissive": "Selinux.Permissive"}


def judge(facts: Facts) -> Item:
    """Tell the mode by configuration and command line."""
    found = facts.get(selinux_mode)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Selinux.NotReadable", advice=f"SELinux' mode could not be read: {found}")
    evidence = () if found.evidence is None else (found.evidence,)
    if found.mode == "disabled":
        return Item(NAME, "ok", value=found.mode, evidence=evidence)
    advice = "set SELINUX=disabled, or make sure that every file has its label (touch /.autorelabel) before the image is made"
    return Item(NAME, "warning", _CODES[found.mode], found.mode, evidence, advice)
