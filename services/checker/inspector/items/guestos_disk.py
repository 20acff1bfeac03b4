# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether every filter driver of disks is there: one that is named and missing keeps Windows from starting."""

from facts import Facts
from findings import EVIDENCE_MAX, Item

NAME = "GUESTOS.Disk"
FAMILIES = frozenset({"windows"})
_CLASS = "Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}"
_OWN = frozenset({"partmgr"})
"""What Windows has there itself."""


def judge(facts: Facts) -> Item:
    """Look up the file of each driver that UpperFilters of the class of disk drives names."""
    from windows.drivers import service
    from windows.registry import control_set, known

    key = known(facts, control_set).key(_CLASS)
    value = None if key is None else key.value("UpperFilters")
    names = () if value is None else value.texts or ()
    if key is None or value is None:
        return Item(NAME, "ok", value="no filters")
    tree = facts.files()
    absent = []
    for name in names:
        if name.lower() in _OWN or tree.find_file(f"/Windows/System32/drivers/{name}.sys") is not None:
            continue
        known_as = service(facts, name)
        if known_as is None or known_as.file is None:
            absent.append(name)
    if absent:
        advice = "take what is left of uninstalled drivers out of UpperFilters; leave partmgr in it"
        evidence = tuple(key.evidence(f"UpperFilters names {name}, which has no file") for name in absent[:EVIDENCE_MAX])
        return Item(NAME, "failed", "Disk.NoFilterDriver", tuple(absent), evidence, advice)
    return Item(NAME, "ok", value=tuple(names) or "no filters", evidence=(key.evidence(value.told),))
