# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which processors its programs are built for."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.Architecture"


def judge(facts: Facts) -> Item:
    """Tell the architecture by the ELF header of the shell."""
    if isinstance(facts.architecture, str):
        return Item(NAME, "ok", value=facts.architecture)
    reason = facts.architecture or "no program was found whose header tells"
    return Item(NAME, "unsupported", "Architecture.Unknown", advice=f"the architecture cannot be told: {reason}")
