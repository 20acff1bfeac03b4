"""Dead letters: records that cannot be taken, kept whole in a table and told of on a topic."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Final

from uuid_utils import uuid7

from shared.contracts.dead_letters import DeadLetterRecorded
from shared.contracts.envelope import moment
from shared.database.transaction import Transaction
from shared.messaging.headers import headers_to_json
from shared.messaging.records import Dead, Reading, Record

_EXCERPT_BYTES: Final = 4096
_HEADERS_MAX: Final = 32
_HEADER_TEXT_MAX: Final = 256
_HEADERS_BYTES_MAX: Final = 24 * 1024
"""Of the headers told of, as JSON: with the other fields' bounds, a dead letter is never too large to be told of."""
_REASON_MAX: Final = 1000
_INSERT: Final = """
    INSERT INTO dead_letters (id, topic, partition, "offset", key, source, event_id, type, sequence, reason_code, reason_text,
        consumer, headers, value, value_size_bytes, value_sha256, recorded_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::text[],
        $9::bigint[], $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::bytea[], $15::int[], $16::text[],
        $17::timestamptz[])
    ON CONFLICT (topic, partition, "offset") DO NOTHING RETURNING topic, partition, "offset"
"""


async def bury(tx: Transaction, consumer: str, readings: Sequence[Reading]) -> None:
    """Keep the dead among `readings` in the table, whole, and tell operators on the topic, in short.

    A record that lies there already (read again, without a readable identity) is not told of twice.
    """
    dead = {
        (reading.record.topic, reading.record.partition, reading.record.offset): reading for reading in readings if reading.dead
    }
    if not dead:
        return
    rows = [_row(reading.record, reading.dead, consumer) for reading in dead.values() if reading.dead is not None]
    for row in await tx.connection.fetch(_INSERT, *(list(column) for column in zip(*rows, strict=True))):
        reading = dead[row["topic"], row["partition"], row["offset"]]
        if reading.dead is not None:
            tx.emit(_announcement(reading.record, reading.dead, consumer), key=reading.record.topic)


def _row(record: Record, dead: Dead, consumer: str) -> tuple[object, ...]:
    value = record.value or b""
    return (
        str(uuid7()),
        record.topic,
        record.partition,
        record.offset,
        record.key,
        _clean(dead.source),
        _clean(dead.event_id),
        _clean(dead.type),
        dead.sequence,
        dead.reason_code,
        _text(dead.reason_text)[:_REASON_MAX],
        consumer,
        json.dumps(headers_to_json(record.headers)),
        record.value,
        len(value),
        hashlib.sha256(value).hexdigest(),
        moment(record.timestamp_ms),
    )


def _announcement(record: Record, dead: Dead, consumer: str) -> DeadLetterRecorded:
    value = record.value or b""
    return DeadLetterRecorded.model_validate(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": None if record.key is None else _text(record.key[:256].decode(errors="backslashreplace"))[:256],
            "reason_code": dead.reason_code,
            "reason_text": _text(dead.reason_text)[:_REASON_MAX],
            "consumer": consumer,
            "value_sha256": hashlib.sha256(value).hexdigest(),
            "value_size_bytes": len(value),
            "value_excerpt_base64": base64.b64encode(value[:_EXCERPT_BYTES]).decode(),
            "headers": _shown(record),
        }
    )


def _shown(record: Record) -> tuple[tuple[str, str], ...]:
    """Return the record's first headers, cut, as many as there is room for."""
    shown, room = [], _HEADERS_BYTES_MAX
    for name, text in headers_to_json(record.headers[:_HEADERS_MAX]):
        header = ((name or "")[:_HEADER_TEXT_MAX], (text or "")[:_HEADER_TEXT_MAX])
        room -= len(json.dumps(header))
        if room < 0:
            break
        shown.append(header)
    return tuple(shown)


def _clean(text: str | None) -> str | None:
    return None if text is None else _text(text)


def _text(text: str) -> str:
    """Return `text` as PostgreSQL can hold it: NUL and lone surrogates written out."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
