# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which processors its programs are built for."""

from facts import Facts
from findings import Item
from linux.architecture import architecture

NAME = "GUESTOS.Architecture"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Tell the architecture by the ELF header of the shell."""
    found = facts.get(architecture)
    if isinstance(found, str):
        return Item(NAME, "ok", value=found)
    reason = found or "no program was found whose header tells"
    return Item(NAME, "unsupported", "Architecture.Unknown", advice=f"the architecture cannot be told: {reason}")
