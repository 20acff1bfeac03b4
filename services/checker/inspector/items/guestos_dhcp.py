# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the system asks for its network address, by the configuration of every network manager."""

from facts import Facts
from findings import Item, Unreadable
from linux.network import Network, network

NAME = "GUESTOS.Dhcp"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Find a static address; where nothing is configured say who asks for one, or that nobody does."""
    found = facts.get(network)
    if isinstance(found, Unreadable):
        return Item(NAME, "unsupported", "Dhcp.NotReadable", advice=f"the network configuration could not be read: {found}")
    static = [one for one in found.settings if one.method == "static"]
    if static:
        value = tuple(sorted({f"{one.interface}: static ({one.manager})" for one in static}))
        advice = "have the interface ask for its address by DHCP: an instance gets an address of its own network"
        return Item(NAME, "warning", "Dhcp.StaticAddress", value, tuple(one.evidence for one in static), advice)
    if found.problem is not None:
        return Item(NAME, "unsupported", "Dhcp.NotJudged", advice=f"a network configuration could not be read: {found.problem}")
    return _without_static(found)


def _without_static(found: Network) -> Item:
    asking = [one for one in found.settings if one.method == "dhcp"]
    if asking:
        value = tuple(sorted({f"{one.interface}: dhcp ({one.manager})" for one in asking}))
        return Item(NAME, "ok", value=value, evidence=tuple(one.evidence for one in asking))
    if found.default is not None:
        return Item(NAME, "ok", value=found.default[0], evidence=tuple(one.evidence for one in found.renewed))
    advice = (
        "no network manager's configuration names an interface, and none asks for an address of its own accord: configure DHCP"
    )
    return Item(NAME, "warning", "Dhcp.NotConfigured", "none", advice=advice)
