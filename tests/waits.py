"""Waiting for an interleaving to come about."""

import asyncio

from shared.database.pool import Database

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def blocked(database: Database, count: int = 1) -> None:
    """Wait until `count` transactions of this database wait for another's lock."""
    async with asyncio.timeout(20):
        while await database.pool.fetchval(_WAITING) < count:
            await asyncio.sleep(0.01)
