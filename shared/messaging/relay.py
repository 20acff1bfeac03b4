"""The relay: what is in the outbox reaches the broker, in order per key, at least once.

One leader a service: a session advisory lock on the very connection that reads the outbox, so that losing the connection is
losing the leadership. Order per key holds because a writer locks its key's sequence row before it inserts: a later id of a key is
visible only after the earlier one.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from shared import faults
from shared.database.pool import Database
from shared.health import Health
from shared.messaging.headers import text_to_headers
from shared.messaging.partitions import partition_of
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

_LOCK: Final = 0x1C0_0001
_POLL_S: Final = 1.0
_STEP_TIMEOUT_S: Final = 15.0
_RETRY_FIRST_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0
_STEADY_S: Final = 5.0
_GAP_MARGIN_S: Final = 1.0
_GAPS_READ_MAX: Final = 4000
_GAPS_BEFORE_FIRST: Final = 2000
_DELETE_EVERY_S: Final = 0.1
_DISCARD_TIMEOUT_S: Final = 5.0
_BATCH_BYTES: Final = 128 * 1024

# One statement reads what follows the cursor and what was missing behind it: a later event of a key is committed only after the
# earlier one, so whoever sees it sees that one too, and the order of ids is the order of each key. Two statements are two
# snapshots, and what is committed between them leaves in the wrong order.
_SELECT_NEXT: Final = (
    "SELECT id, topic, key, headers, value FROM outbox WHERE id > $1 OR id = ANY ($2::bigint[]) ORDER BY id LIMIT $3"
)
_SELECT_UNSENT: Final = "SELECT id, topic, key, headers, value FROM outbox WHERE id <> ALL ($1::bigint[]) ORDER BY id LIMIT $2"

# Only sessions of the service's own role write its outbox, and those it sees.
_MEASURE: Final = """
    SELECT count(*) AS backlog, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0)::float8 AS age_s, (
        SELECT COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(xact_start)), 0)::float8 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    ) AS oldest_s
    FROM (SELECT created_at FROM outbox ORDER BY id LIMIT 100000) AS unsent
"""

logger = get_logger(__name__)
_Packed = dict[tuple[str, int], list[Any]]
"""Batches of aiokafka, by topic and partition, in the order in which they have to go."""


class Relay:
    """Sends one service's outbox.

    `dsn` is the service's own database (the relay holds two connections of its own); `bootstrap_servers` the broker.
    """

    def __init__(self, *, service: str, dsn: str, bootstrap_servers: str, health: Health, records_max: int = 2000) -> None:
        """Prepare; `run` does the work."""
        self._service = service
        self._dsn = dsn
        self._bootstrap_servers = bootstrap_servers
        self._health = health
        self._records_max = records_max
        self._wake = asyncio.Event()
        self._sent: list[int] = []
        self._high = 0
        self._gaps: dict[int, float] = {}
        self._last_sweep = 0.0
        self.leads = False
        self.backlog = 0
        """Unsent events as this relay last counted them; 0 where another process leads."""

    def wake(self) -> None:
        """Tell the relay that the outbox has grown; called after a commit."""
        self._wake.set()

    async def settle(self, database: Database) -> None:
        """Return when everything in the outbox of `database` at this moment is sent, at once where another process leads."""
        newest = await database.pool.fetchval("SELECT max(id) FROM outbox") if self.leads else None
        while self.leads and newest is not None:
            if not await database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE id <= $1)", newest):
                return
            await asyncio.sleep(_DELETE_EVERY_S / 2)

    async def run(self) -> None:
        """Relay until cancelled; any failure costs leadership and producer, and starts anew after a pause."""
        pause_s = _RETRY_FIRST_S
        while True:
            self._health.beat("relay")
            began = time.monotonic()
            try:
                await self._lead()
            except Exception as error:  # noqa: BLE001 - rows stay until they are sent; no list of failures was ever complete
                metrics.RELAY_FAILURES.inc()
                await logger.awarning("relay_retried", error=repr(error))
            finally:
                metrics.RELAY_LEADER.set(0)
                self.leads, self.backlog = False, 0
            pause_s = _RETRY_FIRST_S if time.monotonic() - began > _STEADY_S else min(pause_s * 2, _RETRY_MAX_S)
            await asyncio.sleep(pause_s)

    async def _lead(self) -> None:
        reader = await asyncpg.connect(self._dsn, timeout=10, command_timeout=_STEP_TIMEOUT_S)
        try:
            while not await reader.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                self._health.beat("relay")
                await asyncio.sleep(_POLL_S)
            metrics.RELAY_LEADER.set(1)
            self.leads = True
            deleter = await asyncpg.connect(
                self._dsn, timeout=10, command_timeout=_STEP_TIMEOUT_S, server_settings={"synchronous_commit": "off"}
            )
            try:
                await self._send_for_ever(reader, deleter)
            finally:
                deleter.terminate()
        finally:
            reader.terminate()

    async def _send_for_ever(self, reader: "asyncpg.Connection[Any]", deleter: "asyncpg.Connection[Any]") -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=10_000,
        )
        self._sent.clear()
        self._high = 0
        self._gaps.clear()
        deleting = asyncio.create_task(self._delete_for_ever(deleter))
        try:
            with _broker_failures():
                await asyncio.wait_for(producer.start(), _STEP_TIMEOUT_S)
            await self._steps(reader, producer, deleting)
        finally:
            deleting.cancel()
            await asyncio.wait([deleting])
            await _discard(producer)

    async def _steps(self, reader: "asyncpg.Connection[Any]", producer: AIOKafkaProducer, deleting: "asyncio.Task[None]") -> None:
        while True:
            self._health.beat("relay")
            if deleting.done():
                deleting.result()
            self._wake.clear()
            if self._sweep_is_due():
                self._last_sweep = time.monotonic()
                oldest_s = await self._measure(reader)
                rows = await self._read_all(reader)
                self._forget_gaps(oldest_s, rows)
            else:
                rows = await self._read_next(reader)
            if not rows:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _POLL_S)
                continue
            await self._burst(reader, producer, rows)

    def _sweep_is_due(self) -> bool:
        return time.monotonic() - self._last_sweep > _POLL_S

    async def _read_next(self, reader: "asyncpg.Connection[Any]") -> list[Any]:
        """Read what follows the cursor, and what has filled gaps behind it; nothing else that is behind it is looked at."""
        if len(self._gaps) > _GAPS_READ_MAX:
            return await self._read_all(reader)
        rows: list[Any] = await reader.fetch(_SELECT_NEXT, self._high, list(self._gaps), self._records_max)
        self._note(rows)
        return rows

    async def _read_all(self, reader: "asyncpg.Connection[Any]") -> list[Any]:
        rows: list[Any] = await reader.fetch(_SELECT_UNSENT, self._sent, self._records_max)
        self._note(rows)
        return rows

    def _note(self, rows: list[Any]) -> None:
        """Move the cursor behind `rows`, and remember the ids that are not there: transactions under way may have taken them."""
        if not rows:
            return
        oldest, newest = int(rows[0]["id"]), int(rows[-1]["id"])
        first = self._high + 1 if self._high else max(1, oldest - _GAPS_BEFORE_FIRST)
        if self._gaps or oldest != first or newest - first + 1 != len(rows):
            missing = range(max(first, newest - 10 * _GAPS_READ_MAX), newest)
            self._gaps.update(dict.fromkeys(missing, time.monotonic()))
            for row in rows:
                self._gaps.pop(row["id"], None)
        self._high = max(self._high, newest)

    def _forget_gaps(self, oldest_s: float, rows: list[Any]) -> None:
        """Forget the gaps that nothing can fill any more.

        An id is taken by a transaction that has begun before, and what had been committed was read just now: of gaps that are
        older than `oldest_s`, the age of the oldest transaction then open, nobody is left. Where `rows` are as many as one read
        takes, it saw no further than the last of them.
        """
        until = time.monotonic() - oldest_s - _GAP_MARGIN_S
        read_to = rows[-1]["id"] if len(rows) >= self._records_max else self._high + 1
        self._gaps = {gap: since for gap, since in self._gaps.items() if since > until or gap > read_to}

    async def _burst(self, reader: "asyncpg.Connection[Any]", producer: AIOKafkaProducer, rows: list[Any]) -> None:
        """Send `rows`, and all that follow them.

        While the broker takes one lot the next is read and packed. It is sent only once the broker has the one before: the order
        of a key must survive a send that fails.
        """
        packed = _pack(producer, rows)
        while rows:
            sending = asyncio.create_task(self._step(producer, rows, packed))
            try:
                rows = []
                if not self._sweep_is_due() and len(self._gaps) <= _GAPS_READ_MAX:
                    rows = await self._read_next(reader)
                    packed = _pack(producer, rows)
                await sending
            finally:
                sending.cancel()
                await asyncio.wait([sending])
            self._health.beat("relay")

    async def _step(self, producer: AIOKafkaProducer, rows: list[Any], packed: _Packed) -> None:
        if not rows:
            return
        await faults.reach(f"{self._service}.relay.before_send")
        with _broker_failures():
            await asyncio.wait_for(_send(producer, packed), _STEP_TIMEOUT_S)
        await faults.reach(f"{self._service}.relay.after_send")
        metrics.RELAY_SENT.inc(len(rows))
        self._sent.extend(row["id"] for row in rows)

    async def _delete_for_ever(self, deleter: "asyncpg.Connection[Any]") -> None:
        while True:
            await asyncio.sleep(_DELETE_EVERY_S)
            count = len(self._sent)
            if not count:
                continue
            await faults.reach(f"{self._service}.relay.before_delete")
            # By id, never `id <= highest`: a lower id may be committed later, unsent. A lost delete is a duplicate, which the
            # readers' inboxes absorb; so the commit need not wait for the disk.
            await deleter.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", self._sent[:count])
            await faults.reach(f"{self._service}.relay.after_delete")
            del self._sent[:count]

    async def _measure(self, reader: "asyncpg.Connection[Any]") -> float:
        """Measure the backlog; returns the age in seconds of the oldest transaction open in this database, but for ours."""
        row = await reader.fetchrow(_MEASURE)
        if row is None:
            return 0.0
        self.backlog = row["backlog"]
        metrics.OUTBOX_BACKLOG.set(row["backlog"])
        metrics.OUTBOX_AGE_SECONDS.set(row["age_s"])
        return float(row["oldest_s"])


class RelayError(Exception):
    """The broker or its client failed; the text says how."""


@contextmanager
def _broker_failures() -> Iterator[None]:
    """Turn whatever the Kafka client raises into `RelayError`: its failures have no common base worth listing."""
    try:
        yield
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise RelayError(message) from error


async def _discard(producer: AIOKafkaProducer) -> None:
    """End `producer` with whatever it still holds: after an error an idempotent one may be wedged, and must not be reused.

    `stop` alone would wait for the broker to take what is pending, and, given up, leave a task behind that sends it much later.
    """
    accumulator = producer._message_accumulator  # noqa: SLF001 - there is no public way to give records up
    accumulator.fail_all(ProducerClosed())
    with suppress(Exception):
        await asyncio.wait_for(producer.stop(), _DISCARD_TIMEOUT_S)


def _pack(producer: AIOKafkaProducer, rows: list[Any]) -> _Packed:
    """Pack `rows` into as few batches a partition as hold them, in order."""
    queues: dict[tuple[str, int], list[Any]] = {}
    for row in rows:
        place = row["topic"], partition_of(row["key"])
        batches = queues.setdefault(place, [])
        record = {
            "key": row["key"].encode(),
            "value": row["value"],
            "timestamp": None,
            "headers": text_to_headers(row["headers"]),
        }
        if batches and batches[-1].append(**record) is not None:
            continue
        batches.append(producer.create_batch())
        if batches[-1].append(**record) is None:
            message = f"outbox row {row['id']} does not fit an empty batch of {_BATCH_BYTES} bytes"
            raise RelayError(message)
    return queues


async def _send(producer: AIOKafkaProducer, packed: _Packed) -> None:
    """Send what was packed and wait until the broker has it all."""
    results = await asyncio.gather(
        *(_send_partition(producer, topic, partition, batches) for (topic, partition), batches in packed.items())
    )
    await asyncio.gather(*(future for futures in results for future in futures))


async def _send_partition(
    producer: AIOKafkaProducer, topic: str, partition: int, batches: list[Any]
) -> list["asyncio.Future[Any]"]:
    return [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
