"""Where a service stands in each partition: a row that is also a fence."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.database.transaction import Transaction

if TYPE_CHECKING:
    import asyncpg

Positions = Mapping[int, int]
"""Partition number to offset."""


FENCED: Final = """
    moved AS (SELECT * FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS moved (partition, start_offset, end_offset)),
    stands AS (
        SELECT partition, next_offset FROM consumer_offsets
        WHERE topic = $1 AND partition = ANY ($2::int[]) ORDER BY partition FOR UPDATE
    ),
    fenced AS (
        UPDATE consumer_offsets AS stored SET next_offset = moved.end_offset
        FROM stands JOIN moved USING (partition)
        WHERE stored.topic = $1 AND stored.partition = stands.partition AND stands.next_offset = moved.start_offset
        RETURNING stored.partition
    )
"""
"""The fence as steps of a statement: `fenced` holds the partitions that stood at their start and were moved to their end.

Parameters: topic, then per partition its number, start and end.
"""

_FENCE: Final = f"WITH {FENCED} SELECT partition, transaction_timestamp() AS now FROM fenced"  # noqa: S608 - constants


class OffsetMoved(Exception):
    """The batch does not start where the database stands; `stored` maps each partition to where it does (None: nowhere yet)."""

    def __init__(self, stored: Mapping[int, int | None]) -> None:
        """Tell the positions in the database."""
        super().__init__(dict(stored))
        self.stored = stored


async def stored_offsets(
    connection: "asyncpg.Pool[Any] | asyncpg.Connection[Any]", topic: str, partitions: Iterable[int]
) -> dict[int, int | None]:
    """Return the next offset of each of `partitions` of `topic` (short name); None where nothing was committed yet."""
    wanted = sorted(partitions)
    rows = await connection.fetch(
        "SELECT partition, next_offset FROM consumer_offsets WHERE topic = $1 AND partition = ANY($2::int[])", topic, wanted
    )
    found = {row["partition"]: row["next_offset"] for row in rows}
    return {partition: found.get(partition) for partition in wanted}


async def fence_and_advance(tx: Transaction, topic: str, *, start: Positions, end: Positions) -> None:
    """Move each partition from `start` to `end`, or raise `OffsetMoved` if the database stands elsewhere.

    One statement takes the row locks, in partition order, compares, and tells the transaction's time. A batch whose predecessor
    was rolled back, or whose partition another process has taken meanwhile, starts elsewhere than the row says: it must not be
    applied, nor move the row.
    """
    partitions = sorted(start)
    rows = await tx.connection.fetch(
        _FENCE,
        topic,
        partitions,
        [start[partition] for partition in partitions],
        [end[partition] for partition in partitions],
    )
    if len(rows) != len(partitions):
        raise OffsetMoved(await stored_offsets(tx.connection, topic, partitions))
    tx.now = rows[0]["now"]


async def begin_at(connection: "asyncpg.Pool[Any] | asyncpg.Connection[Any]", topic: str, positions: Positions) -> None:
    """Write down where reading begins in partitions never read before; a row that is there stays.

    Without the row a batch whose predecessor was rolled back would find nothing to be compared with.
    """
    partitions = sorted(positions)
    await connection.execute(
        "INSERT INTO consumer_offsets (topic, partition, next_offset) SELECT $1, * FROM unnest($2::int[], $3::bigint[]) "
        "ON CONFLICT DO NOTHING",
        topic,
        partitions,
        [positions[partition] for partition in partitions],
    )
