"""Events decided on become rows of the outbox, with their sequences, in one statement."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel
from uuid_utils import uuid7

from shared.contracts.envelope import encode_body, time_text
from shared.contracts.registry import EventType
from shared.database.columns import numbers, texts
from shared.telemetry.tracing import child_traceparent

if TYPE_CHECKING:
    import asyncpg

_TAKE: Final = """
    INSERT INTO key_sequences AS held (topic, key, sequence)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[]) AS wanted (topic, key, count)
    ORDER BY topic COLLATE "C", key COLLATE "C"
    ON CONFLICT (topic, key) DO UPDATE SET sequence = held.sequence + excluded.sequence
    RETURNING topic, key, sequence
"""
# Every key's sequence is taken, and its row locked, before the first row gets its id: the array is complete before it is used.
# The order of `unnest` is the order of ids: events of one key leave in the order in which they were emitted. Headers are lines
# of one parameter (JSON text holds no line feed), values parts of another.
_WRITE: Final = f"""
    WITH taken AS ({_TAKE}),
    newest (sequences) AS (SELECT array_agg(sequence ORDER BY topic COLLATE "C", key COLLATE "C") FROM taken)
    INSERT INTO outbox (topic, key, headers, value)
    SELECT $4 || topic, key,
        CASE slot WHEN 0 THEN header
        ELSE '{{"ce_sequence":"' || (SELECT sequences FROM newest)[slot] - behind || '",' || right(header, -1) END,
        substring($9::bytea, first_byte, size)
    FROM ROWS FROM (
        unnest($5::text::text[]), unnest($6::text::text[]), unnest($7::text::int[]), unnest($8::text::int[]),
        unnest($10::text::int[]), unnest($11::text::int[]), unnest(string_to_array($12, E'\\n'))
    ) WITH ORDINALITY AS sent (topic, key, slot, behind, first_byte, size, header, position)
    ORDER BY position
"""  # noqa: S608 - put together from constants


class Emission(NamedTuple):
    """An event on its way out. `sequence` is None where it is counted here, per topic and key, or where there is none."""

    event_type: EventType
    data: BaseModel
    key: str
    sequence: int | None
    correlation_id: str | None
    traceparent: str | None


async def take_sequence(connection: "asyncpg.Connection[Any]", topic: str, key: str) -> int:
    """Take the next sequence of `key` on `topic` (short name); the key's row stays locked until the transaction ends."""
    row = await connection.fetchrow(_TAKE, texts([topic]), texts([key]), numbers([1]))
    return int(row["sequence"])


async def write_events(
    connection: "asyncpg.Connection[Any]", emissions: Sequence[Emission], *, now: datetime, source: str, topic_prefix: str
) -> None:
    """Write `emissions`, in order, as events of `source` at `now`.

    Raises `ValueError` if one is over 64 KiB.
    """
    counted = Counter((one.event_type.topic, one.key) for one in emissions if _is_counted(one))
    slots = {slot: number for number, slot in enumerate(sorted(counted), start=1)}
    places, behind, values, firsts, headers = [], [], [], [], []
    left, first = dict(counted), 1
    fixed: dict[str, str] = {}
    for one in emissions:
        kind = one.event_type
        slot = (kind.topic, one.key)
        if _is_counted(one):
            left[slot] -= 1
            places.append(slots[slot])
            behind.append(left[slot])
        else:
            places.append(0)
            behind.append(0)
        if kind.type not in fixed:
            fixed[kind.type] = _fixed_headers(kind, source, now)
        headers.append(fixed[kind.type] + _own_headers(one))
        value = encode_body(one.data, kind, one.key)
        values.append(value)
        firsts.append(first)
        first += len(value)
    await connection.execute(
        _WRITE,
        texts([topic for topic, _ in slots]),
        texts([key for _, key in slots]),
        numbers(counted[slot] for slot in slots),
        topic_prefix,
        texts([one.event_type.topic for one in emissions]),
        texts([one.key for one in emissions]),
        numbers(places),
        numbers(behind),
        b"".join(values),
        numbers(firsts),
        numbers(map(len, values)),
        "\n".join(headers),
    )


def _is_counted(one: Emission) -> bool:
    return one.sequence is None and one.event_type.place.carries_state


def _fixed_headers(kind: EventType, source: str, now: datetime) -> str:
    """Return the beginning of a JSON object: the headers that all events of one type in one transaction share."""
    return (
        f'{{"ce_specversion":"1.0","content-type":"application/json","ce_source":{encode_basestring(source)},'
        f'"ce_type":"{kind.type}","ce_time":"{time_text(now)}",'
    )


def _own_headers(one: Emission) -> str:
    """Return the rest of it: the headers of this event alone."""
    sequence = "" if one.sequence is None else f',"ce_sequence":"{one.sequence}"'
    about = "" if one.correlation_id is None else f',"ce_correlationid":{encode_basestring(one.correlation_id)}'
    return (
        f'"ce_id":"{uuid7()}","ce_subject":{encode_basestring(one.key)}{sequence}{about},'
        f'"traceparent":"{child_traceparent(one.traceparent)}"}}'
    )
