# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which agents a cloud wants in its images, and whether they are there. Which those are is data, not program.

`agents.toml` beside the program ships with the reference platform's; `use` takes another cloud's in its place.
"""

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts import Facts
from linux.services import has_unit, is_enabled
from tree import Found, Tree

ITEMS = ("CloudAssistant", "SecurityCenterAgent")
_BYTES_MAX = 64 * 1024
_LIST_MAX = 32
_TEXT_CHARACTERS_MAX = 256
_MATCHES_MAX = 256


class AgentsError(Exception):
    """The data make no sense; the text says where and why."""


def _require(*, holds: bool, otherwise: str) -> None:
    if not holds:
        raise AgentsError(otherwise)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: the item that asks for it, its name, where its program lies (`*` within a step), its services, what to do.

    `family` is the family of systems that it is asked for in: linux, windows.
    """

    item: str
    name: str
    paths: tuple[str, ...]
    services: tuple[str, ...] = ()
    advice: str = ""
    family: str = "linux"


@dataclass(frozen=True, slots=True)
class Presence:
    """Where an agent's program was found, None for not at all; `starts` whether one of its services does, or it has none."""

    agent: Agent
    path: str | None
    starts: bool


def load(data: bytes) -> tuple[Agent, ...]:
    """Return the agents that TOML `data` names; raises `AgentsError`."""
    _require(holds=len(data) <= _BYTES_MAX, otherwise=f"more than {_BYTES_MAX} bytes of agents")
    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:
        message = f"no TOML: {error}"
        raise AgentsError(message) from None
    tables = document.get("agent", [])
    holds = set(document) <= {"agent"} and isinstance(tables, list) and len(tables) <= _LIST_MAX
    _require(holds=holds, otherwise=f"expected tables [[agent]], at most {_LIST_MAX}, and nothing else")
    return tuple(_agent(table, f"agent {number}") for number, table in enumerate(tables, start=1))


def _agent(table: Any, where: str) -> Agent:  # noqa: ANN401 - what a file holds
    holds = isinstance(table, dict) and set(table) <= {"item", "name", "paths", "services", "advice", "family"}
    _require(holds=holds, otherwise=f"{where}: expected item, name, paths, services, advice, family")
    item, name, advice = (_text(table.get(key, ""), f"{where}: {key}") for key in ("item", "name", "advice"))
    family = table.get("family", "linux")
    _require(holds=family in ("linux", "windows"), otherwise=f"{where}: family is linux or windows")
    _require(holds=item in ITEMS and bool(name), otherwise=f"{where}: item is one of {', '.join(ITEMS)}, and there is a name")
    paths, services = (_texts(table.get(key, []), f"{where}: {key}") for key in ("paths", "services"))
    holds = bool(paths) and all(path.startswith("/") and path.count("*") <= 4 for path in paths)
    _require(holds=holds, otherwise=f"{where}: paths are absolute, and there is at least one")
    _require(holds=not any("/" in one for one in services), otherwise=f"{where}: services are names without a folder")
    return Agent(item, name, paths, services, advice, family)


def _text(value: Any, where: str) -> Any:  # noqa: ANN401 - see above
    holds = isinstance(value, str) and len(value) <= _TEXT_CHARACTERS_MAX and value.isprintable()
    _require(holds=holds, otherwise=f"{where} is a text of one line, at most {_TEXT_CHARACTERS_MAX} characters")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - see above
    _require(
        holds=isinstance(value, list) and len(value) <= _LIST_MAX, otherwise=f"{where} is a list of at most {_LIST_MAX} texts"
    )
    return tuple(_text(one, where) for one in value)


_used: list[tuple[Agent, ...]] = [load((Path(__file__).resolve().parent.parent / "agents.toml").read_bytes())]


def use(agents: tuple[Agent, ...]) -> None:
    """Look for `agents` from now on, in place of those that ship."""
    _used[0] = agents


def presences(facts: Facts) -> dict[str, tuple[Presence, ...]]:
    """Probe: by item, each agent asked for and whether it is there."""
    tree = facts.files()
    return {item: tuple(_presence(tree, agent) for agent in asked_for(item, "linux")) for item in ITEMS}


def asked_for(item: str, family: str) -> tuple[Agent, ...]:
    """Return the agents that the item asks for in a family of systems."""
    return tuple(agent for agent in _used[0] if agent.item == item and agent.family == family)


def _presence(tree: Tree, agent: Agent) -> Presence:
    found = next((found for path in agent.paths if (found := matching(tree, path)) is not None), None)
    known = [name for name in agent.services if has_unit(tree, f"{name}.service") or is_enabled(tree, name)]
    starts = not agent.services or any(is_enabled(tree, name) for name in known)
    return Presence(agent, None if found is None else found.path, starts)


def matching(tree: Tree, pattern: str) -> Found | None:
    """Return the first regular file that `pattern` matches step by step."""
    folders = ["/"]
    steps = pattern.strip("/").split("/")
    for step in steps[:-1]:
        folders = [
            f"{folder.rstrip('/')}/{name}"
            for folder in folders[:_MATCHES_MAX]
            for name in ([step] if "*" not in step else [one for one in tree.names(folder) if fnmatch.fnmatchcase(one, step)])
        ][:_MATCHES_MAX]
    for folder in folders:
        names = (
            [steps[-1]] if "*" not in steps[-1] else [one for one in tree.names(folder) if fnmatch.fnmatchcase(one, steps[-1])]
        )
        for name in names[:_MATCHES_MAX]:
            found = tree.find_file(f"{folder.rstrip('/')}/{name}")
            if found is not None:
                return found
    return None
