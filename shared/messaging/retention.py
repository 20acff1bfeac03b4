"""What is kept no longer than it is needed."""

import asyncio
from typing import Final

from shared.database.pool import Database

INBOX_DAYS: Final = 8
"""Longer than any request is accepted (7 days); older events are absorbed by their sequences (contracts, Consuming)."""
_DELETE: Final = (
    "DELETE FROM inbox WHERE identity IN (SELECT identity FROM inbox "
    "WHERE received_at < now() - make_interval(days => $1) AND status = 'd' LIMIT $2)"
)


_PAUSE_S: Final = 0.05


async def sweep_inbox(database: Database, *, rows_max: int = 5000) -> int:
    """Delete the inbox rows past their time, `rows_max` a transaction; returns how many. Dead ones stay."""
    swept = 0
    while True:
        tag = await database.pool.execute(_DELETE, INBOX_DAYS, rows_max)
        count = int(tag.rsplit(" ", 1)[1])
        swept += count
        if count < rows_max:
            return swept
        # In small steps: the service's own transactions go first.
        await asyncio.sleep(_PAUSE_S)
