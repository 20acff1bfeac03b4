"""The inbox: each identity is dealt with once."""

from collections.abc import Sequence
from typing import Final

from shared.database.transaction import Transaction
from shared.messaging.records import Reading, reused

DONE: Final = "d"
DEAD: Final = "x"

_ADMIT: Final = """
    INSERT INTO inbox (identity, content, status)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[]::"char"[]) ON CONFLICT (identity) DO NOTHING
"""
_ADMIT_SLOWLY: Final = _ADMIT + " RETURNING identity"


async def admit(tx: Transaction, readings: Sequence[Reading]) -> list[Reading]:
    """Enter `readings` and return those that are new, in order; those whose identity came before with other bytes are made dead.

    A record without a readable identity always counts as new: its partition and offset tell it from others.
    """
    rows: dict[bytes, Reading] = {}
    repeated: list[Reading] = []
    for reading in readings:
        identity = reading.identity
        if identity is None:
            continue
        if identity in rows:
            repeated.append(reading)
        else:
            rows[identity] = reading
    if not rows:
        return list(readings)
    # In identity order: two processes that enter the same identities must not wait for each other crosswise.
    identities = sorted(rows)
    columns = (
        identities,
        [rows[identity].content for identity in identities],
        [DONE if rows[identity].dead is None else DEAD for identity in identities],
    )
    tag = await tx.connection.execute(_ADMIT, *columns)
    if not repeated and tag == f"INSERT 0 {len(identities)}":
        return list(readings)
    return await sort_out(tx, readings, rows, inserted=int(tag.rsplit(" ", 1)[1]))


async def sort_out(tx: Transaction, readings: Sequence[Reading], rows: dict[bytes, Reading], *, inserted: int) -> list[Reading]:
    """Tell the new from the known when not all of a batch was new: `rows` (by identity) were entered, `inserted` of them new."""
    known = await tx.connection.fetch(
        "SELECT identity, content, xmin::text::bigint = txid_current() % 4294967296 AS mine FROM inbox "
        "WHERE identity = ANY($1::bytea[])",
        sorted(rows),
    )
    content = {row["identity"]: row["content"] for row in known}
    mine = {row["identity"] for row in known if row["mine"]}
    if len(mine) != inserted:
        message = f"inbox: {inserted} rows entered, {len(mine)} found as this transaction's"
        raise RuntimeError(message)
    fresh: list[Reading] = []
    for reading in readings:
        identity = reading.identity
        if identity is None or (identity in mine and rows[identity] is reading):
            fresh.append(reading)
        elif reading.content != content[identity]:
            fresh.append(reading if reading.event is None else reused(reading.record, reading.event))
    return fresh
