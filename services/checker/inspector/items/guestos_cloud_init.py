# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether cloud-init is installed and runs at the first boot."""

from facts import Facts
from findings import Evidence, Item, Unreadable
from linux.cloud_init import cloud_init

NAME = "GUESTOS.CloudInit"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Look for the program, for what disables it, and for what starts it."""
    found = facts.get(cloud_init)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "CloudInit.NotReadable", advice=f"it could not be looked for: {found}")
    if found.program is None:
        advice = "install cloud-init: host name, keys and the root file system's size are not set without it"
        return Item(NAME, "warning", "CloudInit.NotInstalled", "not installed", advice=advice)
    if found.disabled is not None:
        evidence, how = found.disabled
        return Item(NAME, "warning", "CloudInit.Disabled", "disabled", (evidence,), f"enable cloud-init: {how}")
    if not found.is_enabled:
        advice = "enable cloud-init's services: nothing starts them"
        return Item(NAME, "warning", "CloudInit.NotEnabled", "not enabled", (Evidence(found.program),), advice)
    return Item(NAME, "ok", value="enabled", evidence=(Evidence(found.program),))
