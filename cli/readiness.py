"""Waiting until services are ready, as their own HTTP says."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

from cli.errors import CommandError
from cli.http import probe
from cli.processes import how_it_ended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.connection import Endpoints
    from cli.processes import Services

READY_POLL_S = 0.05


async def wait_until_ready(endpoints: Endpoints, services: Services, *, timeout_s: float) -> None:
    """Return when every started service says it is ready.

    Raises:
        CommandError: one ended by itself, or was not ready in time; with its last log lines.
    """
    ended = asyncio.create_task(services.first_exit())
    urls = {name: endpoints.urls[name] for name in services.processes}
    ready = asyncio.create_task(all_ready(urls))
    try:
        done, _ = await asyncio.wait({ended, ready}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ended in done:
            name, code = ended.result()
            raise CommandError(f"{name} {how_it_ended(code)} while starting", why=services.log_tail(name) or None)
        if not done:
            raise CommandError(f"the services were not ready within {timeout_s:g} s", why=await what_they_wait_for(urls))
        ready.result()
    finally:
        ended.cancel()
        ready.cancel()


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def all_ready(urls: Mapping[str, str]) -> None:
    """Return when the service at each of `urls` says that it is ready."""
    await asyncio.gather(*map(_one_ready, urls.values()))


async def _one_ready(url: str) -> None:
    while (await asyncio.to_thread(probe, f"{url}/health/ready"))[0] != HTTPStatus.OK:  # noqa: ASYNC110 - another process
        await asyncio.sleep(READY_POLL_S)


async def what_they_wait_for(urls: Mapping[str, str]) -> str:
    """Return what those services say that are not ready."""
    lines = []
    for name, url in urls.items():
        status, text = await asyncio.to_thread(probe, f"{url}/health/ready")
        if status != HTTPStatus.OK:
            lines.append(f"{name}: {text}")
    return "; ".join(lines)
