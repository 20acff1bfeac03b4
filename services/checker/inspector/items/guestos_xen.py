# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether a Xen driver of another platform hides the disks."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.Xen"
FAMILIES = frozenset({"windows"})
_KEY = "Services\\XenPCI\\Parameters"


def judge(facts: Facts) -> Item:
    """Look for devices that the Xen driver is told to hide."""
    from windows.registry import control_set, known

    key = known(facts, control_set).key(_KEY)
    value = None if key is None else key.value("hide_devices")
    if key is None or value is None or not (value.texts or (value.data if value.texts is None else ())):
        return Item(NAME, "ok", value="none hidden")
    advice = f"clear hide_devices of {_KEY}, or uninstall the Xen drivers: instances have no Xen"
    return Item(NAME, "failed", "Xen.HiddenDevices", value.texts, (key.evidence(value.told),), advice)
