# SPDX-License-Identifier: AGPL-3.0-or-later
"""The hives of the system in the image, each opened when an item first asks for it, with its logs."""

from collections.abc import Callable
from typing import TypeVar

from facts import Facts
from findings import Unreadable
from tree import Found, Tree
from windows.hive import Hive, Key
from windows.hive_logs import LOG_BYTES_MAX, Log

T = TypeVar("T")
CONFIG = "/Windows/System32/config"
_LOGS = (".LOG1", ".LOG2", ".LOG")


def system(facts: Facts) -> Hive:
    """Probe: the hive SYSTEM."""
    return hive_at(facts.files(), f"{CONFIG}/SYSTEM")


def software(facts: Facts) -> Hive:
    """Probe: the hive SOFTWARE."""
    return hive_at(facts.files(), f"{CONFIG}/SOFTWARE")


def control_set(facts: Facts) -> Key:
    """Probe: the control set that the next start uses, named by Select: ControlSet001 unless an older one was chosen."""
    hive = known(facts, system)
    select = hive.key("Select")
    number = None if select is None else select.number("Current")
    if number is None:
        raise Unreadable("NoControlSet", "SYSTEM has no Select\\Current, which names the control set")
    found = hive.key(f"ControlSet{number:03d}")
    if found is None:
        raise Unreadable("NoControlSet", f"SYSTEM has no ControlSet{number:03d}, which Select\\Current names")
    return found


def services(facts: Facts) -> frozenset[str]:
    """Probe: the names of all services and drivers, in lower case."""
    key = known(facts, control_set).key("Services")
    return frozenset() if key is None else frozenset(one.name.lower() for one in key.subkeys())


def known(facts: Facts, probe: Callable[[Facts], T]) -> T:
    """Return what `probe` finds; raises the `Unreadable` that says why not."""
    found = facts.get(probe)
    if isinstance(found, Unreadable):
        raise found
    return found


def hive_at(tree: Tree, path: str) -> Hive:
    """Open the hive at `path` with the logs beside it; raises `Unreadable`."""
    found = tree.find_file(path)
    if found is None:
        raise Unreadable("NoHive", f"{path} is not there")
    logs = (_log(tree, path + ending) for ending in _LOGS)
    return Hive(path, found.open(), found.stat().size, tuple(one for one in logs if one is not None))


def _log(tree: Tree, path: str) -> Log | None:
    found = tree.find_file(path)
    return None if found is None else Log(path, found.read(LOG_BYTES_MAX))


def file_of(tree: Tree, image_path: str) -> Found | None:
    """Return the file that a service's ImagePath names, whatever way it is written; None if it is not there."""
    path = image_path.strip().strip('"').replace("\\", "/")
    path = path.removeprefix("/??/")
    lower = path.lower()
    for start in ("/systemroot/", "%systemroot%/", "%windir%/"):
        if lower.startswith(start):
            return tree.find_file(f"/Windows/{path[len(start) :]}")
    if path[1:3] == ":/":
        return tree.find_file(path[2:])
    return tree.find_file(path if path.startswith("/") else f"/Windows/{path}")
