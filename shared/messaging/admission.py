"""A batch is let in: fence, inbox and sequences, in one statement where nothing about the batch is out of the ordinary."""

from collections.abc import Sequence
from typing import Any, Final

from shared.contracts.topics import TOPICS
from shared.database.transaction import Transaction
from shared.messaging.inbox import admit, sort_out
from shared.messaging.offsets import FENCED, OffsetMoved, Positions, fence_and_advance, stored_offsets
from shared.messaging.reader_keys import Slots, admit_newer, hold_steps, judge, slots_of
from shared.messaging.records import Reading

# Each step waits for the one before: nothing enters the inbox unless every partition passed the fence, and no sequence is held
# unless every identity was new (then `inbox.sort_out` has to say which events count).
_ENTERED: Final = """
    INSERT INTO inbox (identity, content)
    SELECT substring($5::bytea, 32 * n + 1, 16), substring($5::bytea, 32 * n + 17, 16) FROM generate_series(0, $6::int - 1) AS n
    WHERE (SELECT count(*) FROM fenced) = cardinality($2::int[])
    ON CONFLICT (identity) DO NOTHING RETURNING 1
"""
_TOLD: Final = """
    transaction_timestamp() AS now, (SELECT count(*) FROM fenced) AS fenced, (SELECT count(*) FROM entered) AS entered
"""
_LET_IN: Final = f"WITH {FENCED}, entered AS ({_ENTERED}) SELECT {_TOLD}"
_LET_IN_NEWER: Final = f"""
    WITH {FENCED}, entered AS ({_ENTERED}), {hold_steps(7, "(SELECT count(*) FROM entered) = $6")}
    SELECT {_TOLD}, notable.* FROM (SELECT) AS one LEFT JOIN notable ON true
"""  # noqa: S608 - as above


async def let_in(
    tx: Transaction, topic: str, readings: Sequence[Reading], *, start: Positions, end: Positions
) -> tuple[list[Reading], list[Reading]]:
    """Fence, then enter `readings` (not empty); returns those that are new, and those of them that are not stale, both in order.

    Raises `OffsetMoved` as `fence_and_advance` does; lock order and outcome are those of its steps one by one.
    """
    rows = {reading.identity: reading for reading in readings if reading.identity is not None and reading.dead is None}
    if len(rows) != len(readings):
        # Dead letters, or the same identity twice.
        await fence_and_advance(tx, topic, start=start, end=end)
        fresh = await admit(tx, readings)
        return fresh, await admit_newer(tx, topic, fresh)
    slots = slots_of(topic, readings) if TOPICS[topic].sequenced else None
    told = await _let_in_at_once(tx, topic, rows, slots, start=start, end=end)
    if told[0]["fenced"] != len(start):
        raise OffsetMoved(await stored_offsets(tx.connection, topic, start))
    tx.now = told[0]["now"]
    if told[0]["entered"] != len(rows):
        fresh = await sort_out(tx, readings, rows, inserted=told[0]["entered"])
        return fresh, await admit_newer(tx, topic, fresh)
    fresh = list(readings)
    if slots is None:
        return fresh, fresh
    return fresh, await judge(tx, topic, readings, slots, [row for row in told if row["key"] is not None])


async def _let_in_at_once(
    tx: Transaction, topic: str, rows: dict[bytes, Reading], slots: Slots | None, *, start: Positions, end: Positions
) -> Sequence[Any]:
    partitions = sorted(start)
    # In identity order: two processes that enter the same identities must not wait for each other crosswise.
    identities = sorted(rows)
    parameters = (
        topic,
        partitions,
        [start[partition] for partition in partitions],
        [end[partition] for partition in partitions],
        b"".join([part for identity in identities for part in (identity, rows[identity].content)]),
        len(identities),
    )
    if slots is None:
        return list(await tx.connection.fetch(_LET_IN, *parameters))
    return list(await tx.connection.fetch(_LET_IN_NEWER, *parameters, *slots.columns()))
