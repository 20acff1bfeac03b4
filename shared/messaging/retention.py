"""What is kept no longer than it is needed."""

from typing import Final

from shared.database.pool import Database

INBOX_DAYS: Final = 8
"""Longer than any request is accepted (7 days); older events are absorbed by their sequences (contracts, Consuming)."""
_ROWS_MAX: Final = 5000


async def sweep_inbox(database: Database) -> int:
    """Delete a bounded number of inbox rows past their time; returns how many. Dead ones stay as long as their dead letter."""
    tag = await database.pool.execute(
        "DELETE FROM inbox WHERE identity IN (SELECT identity FROM inbox "
        "WHERE received_at < now() - make_interval(days => $1) AND status = 'd' LIMIT $2)",
        INBOX_DAYS,
        _ROWS_MAX,
    )
    return int(tag.rsplit(" ", 1)[1])
