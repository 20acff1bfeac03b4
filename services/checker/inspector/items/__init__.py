# SPDX-License-Identifier: AGPL-3.0-or-later
"""The check items, one file each: a module with `NAME`, `FAMILIES` and `judge(facts) -> Item`, pure functions of what was found.

Every file of this folder is an item; the worker knows which ones the rules declare, and misses those that are not here.
"""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from facts import Facts
from findings import Item, Unreadable, attempt

ANY: frozenset[str] = frozenset({"linux", "windows"})


class ItemModule(Protocol):
    """What every file of this folder offers; `FAMILIES` are the families of systems it judges: linux, windows."""

    NAME: str
    FAMILIES: frozenset[str]
    judge: Callable[[Facts], Item]


ITEMS: tuple[ItemModule, ...] = tuple(import_module(f"items.{found.name}") for found in pkgutil.iter_modules(__path__))


def judge(item: ItemModule, facts: Facts) -> Item:
    """Judge one item; one that fails on a stranger's bytes says so, and the others are not harmed."""
    found = attempt(lambda: item.judge(facts))
    if isinstance(found, Unreadable):
        short = item.NAME.partition(".")[2]
        return Item(item.NAME, "unsupported", f"{short}.NotReadable", advice=f"it could not be judged: {found}")
    return found
