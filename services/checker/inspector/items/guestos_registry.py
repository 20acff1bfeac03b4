# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a Windows' registry can be loaded: its hives are there, whole, and closed or completed by their logs."""

from facts import Facts
from findings import Evidence, Item, Unreadable, attempt

NAME = "GUESTOS.Registry"
FAMILIES = frozenset({"windows"})
_HIVES = ("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT")
_CODES = {
    "NoHive": "Registry.Missing",
    "HiveMalformed": "Registry.Damaged",
    "HiveTooMuch": "Registry.Damaged",
    "HiveDirty": "Registry.Dirty",
}
_ADVICE = {
    "Registry.Missing": "a Windows does not start without this hive: make the image of a whole system",
    "Registry.Damaged": "the hive is damaged: repair the system, and make the image once it has started",
    "Registry.Dirty": "the system was not shut down: start it, shut it down, and make the image then",
    "Registry.NoControlSet": "the hive names no control set to start with: repair the system",
}


def judge(facts: Facts) -> Item:
    """Load each hive that a start needs as the kernel does, and read what the other items ask of it."""
    from windows.registry import CONFIG, control_set

    recovered: list[str] = []
    for name in _HIVES:
        path = f"{CONFIG}/{name}"
        found = attempt(lambda path=path: _entries_applied(facts, path))  # type: ignore[misc]
        if isinstance(found, Unreadable):
            return _trouble(found, path)
        if found:
            recovered.append(f"{name}: {found} entries of its log applied")
    sets = facts.get(control_set)
    if isinstance(sets, Unreadable):
        code = "Registry.NoControlSet"
        return Item(NAME, "failed", code, evidence=(Evidence(f"{CONFIG}/SYSTEM", text=str(sets)),), advice=_ADVICE[code])
    reason = _damage_within(facts)
    if reason is not None:
        return _trouble(reason, CONFIG)
    return Item(NAME, "ok", value=tuple(recovered) or "closed", evidence=(sets.evidence(),))


def _damage_within(facts: Facts) -> Unreadable | None:
    """Return the damage that other items met: a kernel, which checks every key, would not load such a hive either."""
    from windows.registry import services
    from windows.servicing import servicing
    from windows.version import windows

    found = [facts.get(services), facts.get(windows), facts.get(servicing)]
    return next((one for one in found if isinstance(one, Unreadable) and one.code in _CODES), None)


def _entries_applied(facts: Facts, path: str) -> int:
    from windows.registry import hive_at

    hive = hive_at(facts.files(), path)
    hive.check_bins()
    next(hive.root.subkeys(), None)
    return hive.recovery.entries


def _trouble(reason: Unreadable, path: str) -> Item:
    code = _CODES.get(reason.code)
    if code is None:
        return Item(NAME, "unsupported", "Registry.NotJudged", advice=f"{path} could not be judged: {reason}")
    return Item(NAME, "failed", code, evidence=(Evidence(path, text=str(reason)),), advice=_ADVICE[code])
