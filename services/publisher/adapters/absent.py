"""Deciding that something does not exist, without a row to lock."""

from typing import Final

from shared.database.transaction import Transaction

_CLAIM: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))"


async def hold_absence(tx: Transaction, table: str, key: str) -> None:
    """Hold, until the end of the transaction, that nobody else makes row `key` of `table`, or decides that it is not there.

    Rows are made under this lock only. Without it an answer `state: null` and the first `known` event of the same key could be
    decided in one order and take their sequences in the other: readers would forget an image that exists. Whoever takes this lock
    reads the row again: it may have been made meanwhile. Taken only where no row was found: no holder of a row's lock waits here.
    """
    await tx.connection.execute(_CLAIM, table, key)
