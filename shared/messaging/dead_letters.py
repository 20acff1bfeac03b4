"""Dead letters: records that cannot be taken, kept whole in a table and told of on a topic."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from uuid_utils import uuid7

from shared.contracts.dead_letters import DeadLetterRecorded
from shared.database.transaction import Transaction
from shared.messaging.headers import headers_to_json
from shared.messaging.records import Dead, Reading, Record

_EXCERPT_BYTES: Final = 4096
_HEADERS_MAX: Final = 32
_HEADER_TEXT_MAX: Final = 256
_REASON_MAX: Final = 1000
_INSERT: Final = """
    INSERT INTO dead_letters (id, topic, partition, "offset", key, source, event_id, type, sequence, reason_code, reason_text,
        consumer, headers, value, value_size_bytes, value_sha256, recorded_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (topic, partition, "offset") DO NOTHING
"""


def moment(timestamp_ms: int) -> datetime:
    """Return the time of a broker's timestamp (milliseconds of Unix time)."""
    return datetime.fromtimestamp(max(0, timestamp_ms) / 1000, tz=UTC)


async def bury(tx: Transaction, consumer: str, readings: Sequence[Reading]) -> None:
    """Keep the dead among `readings` in the table, whole, and tell operators on the topic, in short."""
    for reading in readings:
        if reading.dead is None:
            continue
        record, dead = reading.record, reading.dead
        value = record.value or b""
        sha256 = hashlib.sha256(value).hexdigest()
        await tx.connection.execute(
            _INSERT,
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
            _clean(dead.reason_text[:_REASON_MAX]),
            consumer,
            json.dumps(headers_to_json(record.headers)),
            record.value,
            len(value),
            sha256,
            moment(record.timestamp_ms),
        )
        tx.emit(_announcement(record, dead, consumer, sha256), key=record.topic)


def _announcement(record: Record, dead: Dead, consumer: str, sha256: str) -> DeadLetterRecorded:
    value = record.value or b""
    headers = [
        (name[:_HEADER_TEXT_MAX], (text or "")[:_HEADER_TEXT_MAX])
        for name, text in headers_to_json(record.headers[:_HEADERS_MAX])
        if name is not None
    ]
    return DeadLetterRecorded.model_validate(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": None if record.key is None else _clean(record.key[:256].decode(errors="backslashreplace"))[:256],
            "reason_code": dead.reason_code,
            "reason_text": _clean(dead.reason_text)[:_REASON_MAX],
            "consumer": consumer,
            "value_sha256": sha256,
            "value_size_bytes": len(value),
            "value_excerpt_base64": base64.b64encode(value[:_EXCERPT_BYTES]).decode(),
            "headers": headers,
        }
    )


def _clean(text: str | None) -> str:
    return "" if text is None else text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
