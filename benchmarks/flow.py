"""From a publish request to its `image.published`, with a check that takes no time; catalog and launcher follow."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import BaseModel
from pydantic_core import to_json
from uuid_utils import uuid7

from benchmarks.figures import Figure
from benchmarks.place import Place
from cli.readiness import free_ports
from shared.contracts.envelope import encode
from shared.contracts.facts import AccountStated, ImageRegistered
from shared.contracts.registry import event_type_of
from shared.contracts.requests import PermitRequested, PublishRequested

SECONDS: Final = 20
RATES: Final = {100: 60.0, 500: 120.0}
"""Requests a second, and what 99 of 100 should take at most, in ms."""
WARM_UP: Final = 300
_PROJECT: Final = Path(__file__).resolve().parents[1]
_COMMANDS: Final = {
    "publisher": ("-m", "cli", "run", "publisher"),
    "checker": ("-m", "benchmarks.instant_checker"),
    "catalog": ("-m", "cli", "run", "catalog"),
    "launcher": ("-m", "cli", "run", "launcher"),
}
_REGION: Final = "eu-1"
_VENDORS: Final = 50
_READY_TIMEOUT_S: Final = 60
_ANSWERED_TIMEOUT_S: Final = 240
"""Longer than any queue of these rates has taken."""


class _Talk:
    """Sends as upstream services and vendors do, and notes when each publish request was answered."""

    def __init__(self, place: Place) -> None:
        self._prefix = place.settings.topic_prefix
        servers = place.settings.kafka_bootstrap_servers
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(
            *(self._prefix + topic for topic in ("image-events", "account-events")),
            bootstrap_servers=servers,
            auto_offset_reset="earliest",
        )
        self.sent_at: dict[str, float] = {}
        self.answered: dict[str, tuple[float, str]] = {}
        self.known: set[str] = set()

    async def start(self) -> None:
        await self._producer.start()
        await self._consumer.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def listen(self) -> None:
        """Note answers and known images, until cancelled."""
        async for record in self._consumer:
            headers = dict(record.headers)
            kind = headers["ce_type"].decode().removeprefix("org.imagecommons.").removesuffix(".v1")
            about = headers.get("ce_correlationid", b"").decode()
            if kind == "image.known":
                self.known.add(record.key.decode())
            elif about in self.sent_at and kind not in {"publication.checking", "image.tagged"}:
                self.answered[about] = (time.monotonic(), kind)

    async def say(self, data: BaseModel, key: str, *, wait: bool = False) -> str:
        """Send; with `wait`, come back once the broker has it."""
        kind, identity = event_type_of(type(data)), str(uuid7())
        facts = kind.topic.endswith("-facts")
        headers, value = encode(
            data,
            id=identity,
            source="/bench",
            subject=key,
            time=datetime.now(UTC),
            sequence=time.time_ns() // 1000 if facts else None,
        )
        self.sent_at[identity] = time.monotonic()
        sent = await self._producer.send(self._prefix + kind.topic, value, key=key.encode(), headers=headers)
        if wait:
            await sent
        return identity


def _request(model: type[BaseModel], kind: str, actor: str, **data: Any) -> BaseModel:
    return model.model_validate_json(to_json({"actor": {"kind": kind, "id": actor}, "region": _REGION, **data}))


def _image(image: str, vendor: str) -> BaseModel:
    fact = {
        "image_id": image,
        "region": _REGION,
        "owner_account_id": vendor,
        "name": f"debian12-{image}",
        "description": "an image of the benchmark",
        "status": "Available",
        "encrypted": False,
        "created_at": datetime.now(UTC).isoformat(),
        "location": f"file:///images/{image}.raw",
        "content_version": "1",
    }
    return ImageRegistered.model_validate_json(to_json(fact))


@asynccontextmanager
async def _services(place: Place) -> AsyncIterator[None]:
    ports = dict(zip(_COMMANDS, free_ports(len(_COMMANDS)), strict=True))
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": place.settings.kafka_bootstrap_servers,
        "POSTGRES_DSN": place.settings.postgres_dsn.get_secret_value(),
        "IMAGE_COMMONS_TOPIC_PREFIX": place.settings.topic_prefix,
        "IMAGE_COMMONS_DATABASE_PREFIX": place.settings.database_prefix,
        "IMAGE_COMMONS_LOG_LEVEL": "WARNING",
        "IMAGE_COMMONS_WORKERS": "4",
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=_PROJECT, env={**environment, "IMAGE_COMMONS_HTTP_PORT": str(ports[name])}
        )
        for name, command in _COMMANDS.items()
    ]
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S), httpx.AsyncClient() as client:
            for port in ports.values():
                while not await _ready(client, port):
                    await asyncio.sleep(0.1)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await process.wait()


async def _ready(client: httpx.AsyncClient, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == httpx.codes.OK
    return False


async def _until(condition: Any, timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what}: not within {timeout_s:.0f} s"
            raise TimeoutError(message)
        await asyncio.sleep(0.02)


async def _publish_all(talk: _Talk, name: str, count: int, rate: float) -> list[float]:
    """Publish `count` images at `rate` a second; returns how long each took, in ms, sorted."""
    images = {f"{name}-{number}": f"vendor-{number % _VENDORS}" for number in range(count)}
    for image, vendor in images.items():
        await talk.say(_image(image, vendor), image)
    await _until(lambda: talk.known.issuperset(images), 60, "images known")
    began, asked = time.monotonic(), []
    for number, (image, vendor) in enumerate(images.items()):
        pause_s = began + number / rate - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        asked.append(await talk.say(_request(PublishRequested, "account", vendor, image_id=image), image))
    await _until(lambda: all(one in talk.answered for one in asked), _ANSWERED_TIMEOUT_S, "requests answered")
    others = {talk.answered[one][1] for one in asked} - {"image.published"}
    if others:
        message = f"not published but {others}"
        raise RuntimeError(message)
    return sorted((talk.answered[one][0] - talk.sent_at[one]) * 1000 for one in asked)


async def _permit_vendors(talk: _Talk) -> None:
    vendors = [f"vendor-{number}" for number in range(_VENDORS)]
    for vendor in vendors:
        await talk.say(AccountStated(account_id=vendor, status="active", enterprise_verified=True), vendor, wait=True)
    permits = {vendor: _request(PermitRequested, "operator", "ops", account_id=vendor, ticket="T-1") for vendor in vendors}
    asked = [await talk.say(permit, vendor) for vendor, permit in permits.items()]
    await _until(lambda: all(one in talk.answered for one in asked), 30, "permissions")


async def measure(place: Place) -> list[Figure]:
    """Measure each rate, the lower one first."""
    place = await place.apart("flow")
    figures = []
    talk = _Talk(place)
    async with _services(place):
        await talk.start()
        listening = asyncio.create_task(talk.listen())
        try:
            await _permit_vendors(talk)
            await _publish_all(talk, "warm", WARM_UP, 100)
            for rate, goal_ms in RATES.items():
                taken = await _publish_all(talk, f"at-{rate}", rate * SECONDS, rate)
                p50, p95, p99 = (taken[int(len(taken) * share)] for share in (0.5, 0.95, 0.99))
                figures.append(
                    Figure(
                        f"request → published at {rate}/s, instant check",
                        f"p50 {p50:.0f} / p95 {p95:.0f} / p99 {p99:.0f} ms ({len(taken):,} requests; four services, broker and "
                        "database on the same cores)",
                        f"p99 ≤ {goal_ms:.0f} ms",
                        p99 <= goal_ms,
                    )
                )
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await talk.stop()
    return figures
