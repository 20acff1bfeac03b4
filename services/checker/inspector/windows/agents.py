# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the agents that the data name for Windows are there and start."""

from facts import Facts
from linux.agents import ITEMS, Presence, asked_for, matching
from windows.drivers import AUTO_START, service


def presences(facts: Facts) -> dict[str, tuple[Presence, ...]]:
    """Probe: by item, each agent asked for and whether it is there; one starts if a service of it does so by itself."""
    tree = facts.files()
    found: dict[str, tuple[Presence, ...]] = {}
    for item in ITEMS:
        known = []
        for agent in asked_for(item, "windows"):
            program = next((one for path in agent.paths if (one := matching(tree, path)) is not None), None)
            services = [run for name in agent.services if (run := service(facts, name)) is not None]
            starts = not agent.services or any(run.starts is not None and run.starts <= AUTO_START for run in services)
            known.append(Presence(agent, None if program is None else program.path, starts))
        found[item] = tuple(known)
    return found
