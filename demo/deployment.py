"""A whole deployment for one telling: the local stack and the four services, as real processes, gone afterwards."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cli.connection import DEFAULT_TOPIC_PREFIX, Endpoints
from cli.processes import SERVICES, Services
from cli.readiness import free_ports, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

READY_TIMEOUT_S = 60.0


@asynccontextmanager
async def services_running(
    kafka: str, postgres_dsn: str, *, image_roots: Sequence[Path], logs: Path, topic_prefix: str = DEFAULT_TOPIC_PREFIX
) -> AsyncIterator[tuple[Endpoints, Services]]:
    """Run the four services against a broker and a database that have their topics and tables; stop them on leaving.

    Args:
        kafka: the broker's address.
        postgres_dsn: the database's, as its administrator.
        image_roots: folders the checker may read images from.
        logs: folder for the services' logs.
        topic_prefix: prefix of the topics.

    Raises:
        CommandError: a service did not become ready.
    """
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    endpoints = Endpoints(
        kafka=kafka,
        postgres_dsn=postgres_dsn,
        topic_prefix=topic_prefix,
        found="this deployment",
        urls={name: f"http://127.0.0.1:{port}" for name, port in ports.items()},
    )
    services = Services(
        environment={**endpoints.environment(), "IMAGE_COMMONS_IMAGE_ROOTS": ":".join(map(str, image_roots))},
        per_service={name: {"IMAGE_COMMONS_HTTP_PORT": str(port)} for name, port in ports.items()},
        logs=logs,
    )
    try:
        await services.start()
        await wait_until_ready(endpoints, services, timeout_s=READY_TIMEOUT_S)
        yield endpoints, services
    finally:
        await services.stop()
