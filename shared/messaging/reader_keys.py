"""The newest sequence held of each key, and the marks that hide what could not be read.

Fail closed: a record of a fact or state topic that became a dead letter makes its key *unclear* in this reader until something as
new as it was read, or, where its sequence was unreadable, until a `known` event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.contracts.envelope import Event
from shared.contracts.topics import TOPICS
from shared.database.columns import numbers, texts
from shared.database.transaction import Transaction
from shared.messaging.records import Reading

_KNOWN: Final = ".known.v1"


@dataclass(slots=True)
class _Held:
    """What is held of one (key, source), while a batch is gone through in order."""

    sequence: int = 0
    unclear: bool = False
    unclear_sequence: int | None = None


def hold_steps(first: int, condition: str) -> str:
    """Return steps of a statement that hold the newest sequence of each key, once `condition` holds.

    Parameters: the topic is $1, from `first` on `Slots.columns`. `notable` tells the keys not all of whose events are plainly
    newer than what was held; the rows of all are locked, in key order.
    """
    return f"""
    held AS (
        INSERT INTO reader_keys AS held (topic, key, source, sequence)
        SELECT $1, newest.key, newest.source, newest.sequence
        FROM unnest(${first}::text::text[], ${first + 1}::text::text[], ${first + 2}::text::bigint[])
            AS newest (key, source, sequence)
        WHERE {condition} ORDER BY newest.key COLLATE "C", newest.source COLLATE "C"
        ON CONFLICT (topic, key, source) DO UPDATE SET
            held_before = held.sequence, sequence = GREATEST(held.sequence, excluded.sequence)
        RETURNING key, source, sequence, held_before, unclear
    ),
    notable AS (
        SELECT key, source, held_before, unclear FROM held
        WHERE unclear OR held_before = sequence OR (held_before IS NOT NULL AND key = ANY (${first + 3}::text::text[]))
    )
    """  # noqa: S608 - put together from constants


_HOLD: Final = f"WITH {hold_steps(2, 'true')} SELECT * FROM notable"  # noqa: S608 - put together from constants


@dataclass(slots=True)
class Slots:
    """The keys of a batch, each with its source where sources are told apart."""

    newest: dict[tuple[str, str], int]
    several: set[str]
    """Keys with more than one event in the batch."""

    def columns(self) -> tuple[str, str, str, str]:
        """Return the parameters of `hold_steps`."""
        ordered = sorted(self.newest)
        return (
            texts([key for key, _ in ordered]),
            texts([source for _, source in ordered]),
            numbers(self.newest[slot] for slot in ordered),
            texts(sorted(self.several)),
        )


def slots_of(topic: str, readings: Sequence[Reading]) -> Slots:
    """Return the keys of the events among `readings`, with the newest sequence of each."""
    newest: dict[tuple[str, str], int] = {}
    several: set[str] = set()
    carries_state = TOPICS[topic].carries_state
    for reading in readings:
        event = reading.event
        if event is None:
            continue
        slot = (event.subject, "" if carries_state else event.source)
        sequence = event.sequence or 0
        before = newest.get(slot)
        if before is None:
            newest[slot] = sequence
        else:
            several.add(event.subject)
            newest[slot] = max(before, sequence)
    return Slots(newest, several)


async def admit_newer(tx: Transaction, topic: str, readings: Sequence[Reading]) -> list[Reading]:
    """Drop the events that are not newer than what is held, remember the newest, set and lift unclear marks.

    Topics that carry neither facts nor state have no sequences to compare: everything is returned. Locks the rows of the batch's
    keys, in key order.
    """
    if not TOPICS[topic].sequenced:
        return list(readings)
    if any(reading.event is None and (reading.dead is None or reading.dead.key is not None) for reading in readings):
        return await _admit_with_marks(tx, topic, readings)
    slots = slots_of(topic, readings)
    if not slots.newest:
        return list(readings)
    return await judge(tx, topic, readings, slots, await tx.connection.fetch(_HOLD, topic, *slots.columns()))


async def judge(tx: Transaction, topic: str, readings: Sequence[Reading], slots: Slots, notable: Sequence[Any]) -> list[Reading]:
    """Return those of `readings` that are newer than what was held, in order, given what `hold_steps` told of their keys."""
    # Of a key that was not told of, everything in the batch is newer than what was held: 0 stands for whatever that was.
    held = {(row["key"], row["source"]): row["held_before"] or 0 for row in notable}
    if any(row["unclear"] for row in notable):
        return await _admit_with_marks(tx, topic, readings, dict.fromkeys(slots.newest, 0) | held)
    if not held and not slots.several:
        return list(readings)
    return _newer(topic, readings, held)


def _newer(topic: str, readings: Sequence[Reading], held: dict[tuple[str, str], int]) -> list[Reading]:
    kept = []
    for reading in readings:
        if reading.event is not None:
            slot = _slot(topic, reading.event)
            sequence = reading.event.sequence or 0
            if sequence <= held.get(slot, 0):
                continue
            held[slot] = sequence
        kept.append(reading)
    return kept


def _slot(topic: str, event: Event[Any]) -> tuple[str, str]:
    # A state topic has one writer, so its source may change (a restored deployment) without starting the count anew.
    return event.subject, "" if TOPICS[topic].carries_state else event.source


async def _admit_with_marks(
    tx: Transaction, topic: str, readings: Sequence[Reading], before: dict[tuple[str, str], int] | None = None
) -> list[Reading]:
    """Go through a batch that holds dead letters, or meets marks, one record at a time."""
    rows = await _load(tx, topic, readings)
    if before is not None:
        # The quick path has already written this batch's sequences; judge against what stood before it.
        for slot, sequence in before.items():
            rows[slot].sequence = sequence
    kept = []
    for reading in readings:
        if reading.event is not None:
            if not _take(rows, topic, reading.event):
                continue
        elif reading.dead is not None and reading.dead.key is not None:
            source = "" if TOPICS[topic].carries_state else reading.dead.source or ""
            _mark(rows.setdefault((reading.dead.key, source), _Held()), reading.dead.sequence)
        kept.append(reading)
    await _store(tx, topic, rows)
    return kept


def _take(rows: dict[tuple[str, str], _Held], topic: str, event: Event[Any]) -> bool:
    row = rows.setdefault(_slot(topic, event), _Held())
    sequence = event.sequence or 0
    if sequence <= row.sequence:
        return False
    row.sequence = max(row.sequence, sequence)
    as_new = row.unclear_sequence is not None and sequence >= row.unclear_sequence
    if as_new or (row.unclear_sequence is None and event.type.endswith(_KNOWN)):
        row.unclear, row.unclear_sequence = False, None
    return True


def _mark(row: _Held, sequence: int | None) -> None:
    if sequence is not None and row.sequence >= sequence:
        return
    if row.unclear and row.unclear_sequence is None:
        return
    row.unclear_sequence = None if sequence is None else max(sequence, row.unclear_sequence or 0)
    row.unclear = True


async def _load(tx: Transaction, topic: str, readings: Sequence[Reading]) -> dict[tuple[str, str], _Held]:
    keys = sorted(
        {reading.event.subject for reading in readings if reading.event is not None}
        | {reading.dead.key for reading in readings if reading.dead is not None and reading.dead.key is not None}
    )
    rows = await tx.connection.fetch(
        "SELECT key, source, sequence, unclear, unclear_sequence FROM reader_keys "
        "WHERE topic = $1 AND key = ANY($2::text[]) ORDER BY key, source FOR UPDATE",
        topic,
        keys,
    )
    return {(row["key"], row["source"]): _Held(row["sequence"], row["unclear"], row["unclear_sequence"]) for row in rows}


async def _store(tx: Transaction, topic: str, rows: dict[tuple[str, str], _Held]) -> None:
    slots = sorted(rows)
    await tx.connection.execute(
        "INSERT INTO reader_keys (topic, key, source, sequence, unclear, unclear_sequence) "
        "SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::bigint[]) "
        "ON CONFLICT (topic, key, source) DO UPDATE SET sequence = GREATEST(reader_keys.sequence, excluded.sequence), "
        "unclear = excluded.unclear, unclear_sequence = excluded.unclear_sequence",
        topic,
        [key for key, _ in slots],
        [source for _, source in slots],
        [rows[slot].sequence for slot in slots],
        [rows[slot].unclear for slot in slots],
        [rows[slot].unclear_sequence for slot in slots],
    )
