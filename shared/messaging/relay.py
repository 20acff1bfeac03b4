"""The relay: what is in the outbox reaches the broker, in order per key, at least once.

One leader a service: a session advisory lock on the very connection that reads the outbox, so that losing the connection is
losing the leadership. Order per key holds because a writer locks its key's sequence row before it inserts: a later id of a key is
visible only after the earlier one.
"""

import asyncio
import time
from collections import defaultdict
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
_DELETE_EVERY_S: Final = 0.1
_DISCARD_TIMEOUT_S: Final = 5.0
_BATCH_BYTES: Final = 128 * 1024

_SELECT_NEXT: Final = "SELECT id, topic, key, headers, value FROM outbox WHERE id > $1 ORDER BY id LIMIT $2"
_SELECT_PASSED: Final = (
    "SELECT id, topic, key, headers, value FROM outbox WHERE id <= $1 AND id <> ALL ($2::bigint[]) ORDER BY id LIMIT $3"
)

logger = get_logger(__name__)


class Relay:
    """Sends one service's outbox.

    `dsn` is the service's own database (the relay holds two connections of its own); `bootstrap_servers` the broker.
    """

    def __init__(self, *, service: str, dsn: str, bootstrap_servers: str, health: Health, records_max: int = 1000) -> None:
        """Prepare; `run` does the work."""
        self._service = service
        self._dsn = dsn
        self._bootstrap_servers = bootstrap_servers
        self._health = health
        self._records_max = records_max
        self._wake = asyncio.Event()
        self._sent: list[int] = []
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
        high = 0
        while True:
            self._health.beat("relay")
            if deleting.done():
                deleting.result()
            self._wake.clear()
            if time.monotonic() - self._last_sweep > _POLL_S:
                self._last_sweep = time.monotonic()
                await self._measure(reader)
                # An id below the cursor may have been committed after the cursor passed it.
                rows = await reader.fetch(_SELECT_PASSED, high, self._sent, self._records_max)
                await self._step(producer, rows)
            rows = await reader.fetch(_SELECT_NEXT, high, self._records_max)
            if not rows:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _POLL_S)
                continue
            await self._step(producer, rows)
            high = rows[-1]["id"]

    async def _step(self, producer: AIOKafkaProducer, rows: list[Any]) -> None:
        if not rows:
            return
        await faults.reach(f"{self._service}.relay.before_send")
        with _broker_failures():
            await asyncio.wait_for(_send(producer, rows), _STEP_TIMEOUT_S)
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

    async def _measure(self, reader: "asyncpg.Connection[Any]") -> None:
        row = await reader.fetchrow(
            "SELECT count(*) AS backlog, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0) AS age_s "
            "FROM (SELECT created_at FROM outbox ORDER BY id LIMIT 100000) AS unsent"
        )
        if row is not None:
            self.backlog = row["backlog"]
            metrics.OUTBOX_BACKLOG.set(row["backlog"])
            metrics.OUTBOX_AGE_SECONDS.set(row["age_s"])


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


async def _send(producer: AIOKafkaProducer, rows: list[Any]) -> None:
    """Send `rows` as few batches a partition as hold them, in order, and wait until the broker has them all."""
    queues: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in rows:
        queues[row["topic"], partition_of(row["key"])].append(row)
    results = await asyncio.gather(
        *(_send_partition(producer, topic, partition, queue) for (topic, partition), queue in queues.items())
    )
    await asyncio.gather(*(future for futures in results for future in futures))


async def _send_partition(producer: AIOKafkaProducer, topic: str, partition: int, rows: list[Any]) -> list["asyncio.Future[Any]"]:
    futures = []
    batch = producer.create_batch()
    for row in rows:
        record = {
            "key": row["key"].encode(),
            "value": row["value"],
            "timestamp": None,
            "headers": text_to_headers(row["headers"]),
        }
        if batch.append(**record) is None:
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            if batch.append(**record) is None:
                message = f"outbox row {row['id']} does not fit an empty batch of {_BATCH_BYTES} bytes"
                raise RelayError(message)
    futures.append(await producer.send_batch(batch, topic, partition=partition))
    return futures
