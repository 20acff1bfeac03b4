# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the cloud's own agent is installed and starts; which one that is is data (agents.toml)."""

from collections.abc import Callable

from facts import Facts
from family import family_of
from findings import Evidence, Item, Unreadable
from linux.agents import Presence
from linux.agents import presences as of_linux

NAME = "GUESTOS.CloudAssistant"
FAMILIES = frozenset({"linux", "windows"})


def judge(facts: Facts) -> Item:
    """Look for the agents that the data name for this item."""
    return judge_agents(NAME, facts)


def judge_agents(item: str, facts: Facts) -> Item:
    """Judge an item of agents: ok if one of those named is there and starts."""
    short = item.partition(".")[2]
    known = facts.get(_presences(facts))
    if isinstance(known, Unreadable):
        return Item(item, "unsupported", f"{short}.NotReadable", advice=f"agents could not be looked for: {known}")
    found = known[short]
    if not found:
        return Item(item, "ok", value="none asked for")
    there = [one for one in found if one.path is not None]
    running = next((one for one in there if one.starts), None)
    if running is not None:
        return Item(item, "ok", value=running.agent.name, evidence=(Evidence(running.path),))
    if there:
        one = there[0]
        services = " or ".join(one.agent.services)
        text = f"enable the service {services} of {one.agent.name}: nothing starts it"
        return Item(item, "warning", f"{short}.NotEnabled", one.agent.name, (Evidence(one.path),), text)
    return Item(item, "warning", f"{short}.NotInstalled", "not installed", advice=_advice(found))


def _presences(facts: Facts) -> Callable[[Facts], dict[str, tuple[Presence, ...]]]:
    if family_of(facts) == "windows":
        from windows.agents import presences

        return presences
    return of_linux


def _advice(found: tuple[Presence, ...]) -> str:
    return found[0].agent.advice or f"install {found[0].agent.name}"
