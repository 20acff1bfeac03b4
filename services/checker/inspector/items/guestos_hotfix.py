# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether an update is installed that keeps instances from starting, or one is missing that they need to.

Source: the reference platform's list of image check items.
"""

from facts import Facts
from findings import EVIDENCE_MAX, Item

NAME = "GUESTOS.Hotfix"
FAMILIES = frozenset({"windows"})
_BAD = {
    "KB5009624": None,
    "KB5009595": None,
    "KB5009546": "14393.4886",
    "KB5009557": "17763.2452",
    "KB5009555": "20348.469",
    "KB5014738": None,
    "KB5014702": "14393.5192",
    "KB5014692": "17763.3046",
    "KB5014678": "20348.768",
}
"""By number, the build that a cumulative update brings: its package is not named by its number."""
_BUILDS = {build: number for number, build in _BAD.items() if build is not None}
_NEEDED_BUILDS = frozenset({7600, 7601})
_NEEDED = ("KB3033929", "KB4474419")
"""Signatures by SHA-2, which drivers have; the second came in place of the first."""


def judge(facts: Facts) -> Item:
    """Compare the packages that are installed, or will be at the next start, with the lists."""
    from windows.registry import known
    from windows.servicing import IS_IN, Package, number_of, servicing
    from windows.version import architecture, windows

    found = known(facts, servicing)
    packages = [one for one in found.updates if one.state in IS_IN]
    bad: dict[str, Package] = {}
    for one in packages:
        number = _BUILDS.get(one.build or "") or number_of(facts, one)
        if number in _BAD:
            bad.setdefault(number, one)
    if bad:
        evidence = tuple(one.evidence(found.hive) for one in bad.values())[:EVIDENCE_MAX]
        advice = f"uninstall {', '.join(bad)}, or install a later cumulative update: instances may not start with it"
        return Item(NAME, "failed", "Hotfix.Bad", tuple(bad), evidence, advice)
    version, machine = known(facts, windows), known(facts, architecture)
    installed = sorted({one.number for one in packages if one.number is not None}, reverse=True)
    is_new_enough = any(number in _NEEDED for number in installed) or any(one.build is not None for one in packages)
    if version.build in _NEEDED_BUILDS and version.is_server and machine[0] == "x86_64" and not is_new_enough:
        advice = f"install {' or '.join(_NEEDED)}: without signatures by SHA-2 drivers are not loaded"
        return Item(NAME, "failed", "Hotfix.Missing", _NEEDED[0], (version.evidence,), advice)
    builds = sorted({one.build for one in packages if one.build is not None}, reverse=True)
    return Item(NAME, "ok", value=tuple([*builds, *installed][:EVIDENCE_MAX]) or "no updates")
