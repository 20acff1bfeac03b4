"""Republish: tell the present state of every instance once more, for readers that lost theirs (contracts, Topics)."""

import asyncio
from dataclasses import dataclass
from typing import Final

from services.launcher.adapters.books import page_of_instances
from services.launcher.handlers.answers import state_of
from shared.contracts.instance_events import InstanceChange, InstanceKnown
from shared.database.pool import Database
from shared.database.transaction import Transaction

PAGE_RECORDS: Final = 200
"""States told in one transaction: as long as that, no other request about these instances is decided."""


@dataclass(frozen=True, slots=True)
class Republished:
    """How many states were told."""

    instances: int


async def republish(database: Database, *, records_per_s: float) -> Republished:
    """Emit `instance.known` for every instance there ever was, released ones too, at most `records_per_s` of them a second.

    Each state is read and takes its sequence under its row's lock, so no reader takes it for newer than a decision made after it.
    May be run at any time and any number of times; nothing else happens by it.
    """
    count, after = 0, ""
    while True:
        async with database.transaction() as tx:
            told = await _tell_instances(tx, after)
        if not told:
            return Republished(count)
        count, after = count + len(told), told[-1]
        await asyncio.sleep(len(told) / records_per_s)


async def _tell_instances(tx: Transaction, after: str) -> list[str]:
    instances = await page_of_instances(tx, after, PAGE_RECORDS)
    for instance in instances:
        tx.emit(InstanceKnown(state=state_of(instance), change=InstanceChange()), key=instance.instance_id)
    return [instance.instance_id for instance in instances]
