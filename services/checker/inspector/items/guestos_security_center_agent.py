# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether the cloud's security agent is installed and starts; which one that is is data (agents.toml)."""

from facts import Facts
from findings import Item
from items.guestos_cloud_assistant import judge_agents

NAME = "GUESTOS.SecurityCenterAgent"
FAMILIES = frozenset({"linux"})


def judge(facts: Facts) -> Item:
    """Look for the agents that the data name for this item."""
    return judge_agents(NAME, facts)
