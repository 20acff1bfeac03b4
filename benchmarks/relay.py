"""The relay against aiokafka's `send()`: the same records, from the outbox and from memory."""

import asyncio
import statistics
import time
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer

from benchmarks.figures import Figure, at_least
from benchmarks.place import SERVICE, Place, send_all
from shared.contracts.account_events import AccountKnown
from shared.contracts.envelope import encode
from shared.health import Health
from shared.messaging.headers import headers_to_text
from shared.messaging.relay import Relay
from shared.telemetry import metrics

RECORDS: Final = 150_000
ROUNDS: Final = 3
GOAL: Final = 2.0
_KEYS: Final = 2000


def _record(number: int) -> tuple[str, list[tuple[str, bytes]], bytes]:
    """Return key, headers and value of an event of about 300 bytes."""
    account = f"acc-{number % _KEYS}"
    state = {"account_id": account, "status": "active", "enterprise_verified": True, "display_name": "x" * 150}
    data = AccountKnown.model_validate({"state": state, "change": {}})
    headers, value = encode(
        data, id=f"bench-{number}", source="/bench", subject=account, time=datetime.now(UTC), sequence=number + 1
    )
    return account, headers, value


async def _raw(place: Place, topic: str, records: list[tuple[str, list[tuple[str, bytes]], bytes]]) -> float:
    """Return records a second of plain `send()`."""
    producer = AIOKafkaProducer(
        bootstrap_servers=place.settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True, max_batch_size=128 * 1024
    )
    await producer.start()
    try:
        await send_all(producer, topic, [(b"k", b"v")] * 100)
        began = time.monotonic()
        pending = [await producer.send(topic, value, key=key.encode(), headers=headers) for key, headers, value in records]
        await asyncio.gather(*pending)
        return len(records) / (time.monotonic() - began)
    finally:
        await producer.stop()


async def _relayed(place: Place, connection: "asyncpg.Connection[Any]") -> float:
    """Return records a second from the outbox to the broker, from leading until the broker has acknowledged all."""
    relay = Relay(
        service=SERVICE,
        dsn=place.dsn,
        bootstrap_servers=place.settings.kafka_bootstrap_servers,
        health=Health(stalled_after_s=60),
    )
    before = metrics.RELAY_SENT._value.get()
    running = asyncio.create_task(relay.run())
    try:
        while not relay.leads:  # connecting is not throughput; the raw producer has connected, too, when its clock starts
            await asyncio.sleep(0.001)
        began = time.monotonic()
        while metrics.RELAY_SENT._value.get() < before + RECORDS:
            await asyncio.sleep(0.005)
        taken_s = time.monotonic() - began
        while await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            await asyncio.sleep(0.02)
        return RECORDS / taken_s
    finally:
        running.cancel()
        await asyncio.wait([running])


async def measure(place: Place) -> list[Figure]:
    """Alternate raw and relayed rounds; the ratio is that of the medians."""
    topic = f"{place.settings.topic_prefix}account-events"
    records = [_record(number) for number in range(RECORDS)]
    connection = await asyncpg.connect(place.dsn)
    raw, relayed = [], []
    try:
        for _ in range(ROUNDS):
            raw.append(await _raw(place, topic, records))
            await connection.execute(
                "INSERT INTO outbox (topic, key, headers, value) SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[])",
                topic,
                [key for key, _, _ in records],
                [headers_to_text(headers) for _, headers, _ in records],
                [value for _, _, value in records],
            )
            await connection.execute("ANALYZE outbox")
            relayed.append(await _relayed(place, connection))
    finally:
        await connection.close()
    ours, theirs = statistics.median(relayed), statistics.median(raw)
    detail = f"{ours:,.0f}/s against {theirs:,.0f}/s; {RECORDS:,} events of {len(records[0][2])} bytes and their headers"
    return [at_least("relay", ours / theirs, GOAL, "`send()`", detail)]
