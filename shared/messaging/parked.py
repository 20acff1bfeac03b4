"""Parked requests: those that may have overtaken the facts they need, kept in arrival order per key."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from shared import faults
from shared.contracts.envelope import moment
from shared.contracts.topics import PARTITIONS
from shared.database.errors import TRIES, Fault, fault_of
from shared.database.pool import Database
from shared.database.transaction import Transaction
from shared.messaging.dead_letters import bury
from shared.messaging.failed_share import FailedShare
from shared.messaging.handlers import EachHandler, Park
from shared.messaging.inbox import DEAD
from shared.messaging.partitions import partition_of
from shared.messaging.records import Reading, Record, failed, read
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

PARKED_AT_LEAST: Final = timedelta(seconds=2)
_HEADS_MAX: Final = 200
_IN_A_ROW_MAX: Final = 50
_TURN_REQUESTS_MAX: Final = 2000
_MEASURE_EVERY_S: Final = 5.0

EndOffsets = Callable[[str, Sequence[int]], Awaitable[Mapping[int, int]]]
"""Given a topic's short name and partitions, where each ends now. Raises the client's errors while the broker is away."""

_INSERT: Final = """
    INSERT INTO parked_requests (topic, partition, "offset", key, headers, value, recorded_at, not_before, needs)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (topic, partition, "offset") DO NOTHING
"""
_IS_DUE: Final = """
    head.not_before <= now() AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset(head.needs) AS need (topic text, partition int, end_offset bigint)
        LEFT JOIN consumer_offsets AS stands USING (topic, partition)
        WHERE COALESCE(stands.next_offset, 0) < need.end_offset
    )
"""
# The first of each key whose waiting is over. Later ones of the key stay behind it.
_HEADS: Final = f"""
    SELECT head.id, head.topic, head.key FROM (
        SELECT DISTINCT ON (topic, key) id, topic, key, not_before, needs FROM parked_requests ORDER BY topic, key, id
    ) AS head
    WHERE {_IS_DUE} ORDER BY head.id LIMIT $1
"""  # noqa: S608 - put together from constants
_NEXT_OF_KEY: Final = f"""
    SELECT head.id FROM (
        SELECT id, not_before, needs FROM parked_requests WHERE topic = $1 AND key = $2 ORDER BY id LIMIT 1
    ) AS head
    WHERE {_IS_DUE}
"""  # noqa: S608 - as above
_TAKE: Final = """
    SELECT topic, partition, "offset", key, headers, value, recorded_at FROM parked_requests
    WHERE id = $1 FOR UPDATE SKIP LOCKED
"""

logger = get_logger(__name__)


async def keys_with_parked(tx: Transaction, topic: str, readings: Sequence[Reading]) -> set[str]:
    """Return the keys of `readings` behind which requests of `topic` are parked."""
    keys = sorted({reading.event.subject for reading in readings if reading.event is not None})
    if not keys:
        return set()
    rows = await tx.connection.fetch(
        "SELECT DISTINCT key FROM parked_requests WHERE topic = $1 AND key = ANY($2::text[])", topic, keys
    )
    return {row["key"] for row in rows}


async def park(
    tx: Transaction, reading: Reading, needs: Sequence[tuple[str, str | None]], end_offsets: EndOffsets | None
) -> None:
    """Keep `reading`'s request until this service has read as far as each of `needs` reaches now."""
    record = reading.record
    ends = []
    for topic, key in needs:
        partitions = range(PARTITIONS) if key is None else [partition_of(key)]
        if end_offsets is None:
            message = f"a request asked to wait for {topic}, but nothing here can tell where that topic ends"
            raise RuntimeError(message)
        reach = await end_offsets(topic, partitions)
        ends += [{"topic": topic, "partition": partition, "end_offset": reach[partition]} for partition in partitions]
    await tx.connection.execute(
        _INSERT,
        record.topic,
        record.partition,
        record.offset,
        (record.key or b"").decode(),
        json.dumps([[name, (value or b"").decode()] for name, value in record.headers]),
        record.value,
        moment(record.timestamp_ms),
        tx.now + PARKED_AT_LEAST,
        json.dumps(ends),
    )


class ParkedRequests:
    """Takes parked requests up again, one transaction each, in arrival order per key."""

    def __init__(
        self, database: Database, service: str, handlers: Mapping[str, EachHandler], *, failed_share_max: float = 0.1
    ) -> None:
        """Use each topic's handler of `handlers` (short topic name) in the database of `service`."""
        self._database = database
        self._service = service
        self._handlers = handlers
        self._failures: dict[int, int] = {}
        self._share = FailedShare("parked requests", failed_share_max)
        self._measured = -_MEASURE_EVERY_S

    async def turn(self) -> int:
        """Take up the requests whose waiting is over, a bounded number; returns how many.

        One that fails stays, keeping its key's later ones behind it, and other keys go on; then the first failure is raised. One
        proven to fail by our own fault becomes a dead letter, as it would have on the topic.
        """
        await self._measure()
        done = 0
        while done < _TURN_REQUESTS_MAX:
            taken, failure = 0, None
            for head in await self._database.pool.fetch(_HEADS, _HEADS_MAX):
                in_a_row, error = await self._take_up_key(head["id"], head["topic"], head["key"])
                taken, failure = taken + in_a_row, failure or error
            done += taken
            if failure is not None:
                raise failure
            if not taken:
                break
        return done

    async def _take_up_key(self, parked_id: int | None, topic: str, key: str) -> tuple[int, Exception | None]:
        """Take up what is due of one key, from its first, `parked_id`, on; returns how many, and the failure that ended it.

        A few in a row and not all: whoever parks very many for one key must not hold up the others.
        """
        taken = 0
        while parked_id is not None and taken < _IN_A_ROW_MAX:
            try:
                if not await self._take_up(parked_id):
                    break
            except Exception as error:  # noqa: BLE001 - one request that fails must not hold up other keys
                await self._blame(parked_id, error)
                return taken, error
            self._failures.pop(parked_id, None)
            self._share.succeeded()
            taken += 1
            parked_id = await self._database.pool.fetchval(_NEXT_OF_KEY, topic, key)
        return taken, None

    async def _measure(self) -> None:
        if time.monotonic() - self._measured > _MEASURE_EVERY_S:
            self._measured = time.monotonic()
            metrics.PARKED.set(await self._database.pool.fetchval("SELECT count(*) FROM parked_requests"))

    async def _take_up(self, parked_id: int) -> bool:
        async with self._database.transaction() as tx:
            row = await tx.connection.fetchrow(_TAKE, parked_id)
            if row is None:
                return False
            event = read(_record_of(row)).event
            if event is None:
                message = f"parked request {parked_id} could be read when it was parked and cannot be read now"
                raise RuntimeError(message)
            try:
                await self._handlers[row["topic"]](tx, [event])
            except Park as again:
                message = f"{event.type} asked to park although it may not any more"
                raise RuntimeError(message) from again
            await tx.connection.execute("DELETE FROM parked_requests WHERE id = $1", parked_id)
            await faults.reach(f"{self._service}.parked.before_commit")
        await faults.reach(f"{self._service}.parked.after_commit")
        return True

    async def _blame(self, parked_id: int, error: Exception) -> None:
        """Count a failure that is not transient; bury the request once there is proof. Raises `Halted` if too many fail."""
        fault = fault_of(error)
        if fault is Fault.TRANSIENT:
            return
        await self._database.probe_write()
        self._failures[parked_id] = self._failures.get(parked_id, 0) + 1
        if self._failures[parked_id] < TRIES[fault]:
            return
        self._share.failed()
        async with self._database.transaction() as tx:
            row = await tx.connection.fetchrow(_TAKE, parked_id)
            if row is None:
                return
            reading = read(_record_of(row))
            identity = reading.identity
            await bury(tx, f"{self._service}/{row['topic']}", [failed(reading.record, reading.event, error)])
            await tx.connection.execute('UPDATE inbox SET status = $2::text::"char" WHERE identity = $1', identity, DEAD)
            await tx.connection.execute("DELETE FROM parked_requests WHERE id = $1", parked_id)
        self._failures.pop(parked_id, None)
        metrics.DEAD_LETTERS.labels(row["topic"], "handler_failed").inc()
        await logger.aerror("parked_request_failed", topic=row["topic"], offset=row["offset"], exc_info=error)


def _record_of(row: Any) -> Record:  # noqa: ANN401 - asyncpg.Record is untyped
    return Record(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"].encode(),
        headers=[(name, value.encode()) for name, value in json.loads(row["headers"])],
        value=row["value"],
        timestamp_ms=int(row["recorded_at"].timestamp() * 1000),
    )
