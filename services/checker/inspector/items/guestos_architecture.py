# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which processors its programs are built for."""

from facts import Facts
from family import family_of
from findings import Item, Unreadable
from linux.architecture import architecture as of_linux

NAME = "GUESTOS.Architecture"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Tell the architecture by the ELF header of the shell, a Windows' by its kernel's header."""
    if family_of(facts) == "windows":
        return _of_windows(facts)
    found = facts.get(of_linux)
    if isinstance(found, str):
        return Item(NAME, "ok", value=found)
    reason = found or "no program was found whose header tells"
    return Item(NAME, "unsupported", "Architecture.Unknown", advice=f"the architecture cannot be told: {reason}")


def _of_windows(facts: Facts) -> Item:
    from windows.version import architecture

    found = facts.get(architecture)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Architecture.Unknown", advice=f"the architecture cannot be told: {found}")
    return Item(NAME, "ok", value=found[0], evidence=(found[1],))
