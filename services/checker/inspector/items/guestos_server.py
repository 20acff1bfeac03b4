# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether drivers may be installed: an instance gets drivers for hardware that the image has not seen."""

from facts import Facts
from findings import Item

NAME = "GUESTOS.Server"
FAMILIES = frozenset({"windows"})
_KEYS = ("Services\\DeviceInstall\\Parameters", "Services\\PlugPlay\\Parameters")
"""From Windows Server 2008 R2 on, and before."""


def judge(facts: Facts) -> Item:
    """Look whether DeviceInstallDisabled is absent or 0."""
    from windows.registry import control_set, known

    services = known(facts, control_set)
    for path in _KEYS:
        key = services.key(path)
        value = None if key is None else key.value("DeviceInstallDisabled")
        if key is not None and value is not None and value.number != 0:
            advice = f"set DeviceInstallDisabled of {path} to 0, or delete it: drivers cannot be updated"
            return Item(NAME, "warning", "Server.DeviceInstallDisabled", value.number, (key.evidence(value.told),), advice)
    return Item(NAME, "ok", value="drivers may be installed")
