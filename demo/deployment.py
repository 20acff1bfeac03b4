"""A whole deployment for one telling: the local stack and the four services, as real processes, gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cli.connection import KAFKA_VARIABLE, PROJECT, Endpoints
from cli.errors import CommandError
from cli.processes import SERVICES, Services
from cli.readiness import free_ports, wait_until_ready
from stack.local import LocalStack, StackError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from demo.narrator import Narrator

READY_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 120.0


@asynccontextmanager
async def deployment(
    narrator: Narrator, *, image_roots: Sequence[Path], databases: Path, scratch: Path
) -> AsyncIterator[Endpoints]:
    """Run a local stack of its own with topics and tables, and the four services; all gone on leaving.

    Args:
        narrator: says what is started.
        image_roots: folders the checker may read images from.
        databases: folder of the databases that it checks them against.
        scratch: folder for data and logs.

    Raises:
        CommandError: something cannot start here.
    """
    narrator.chapter("A real Kafka and PostgreSQL, and the four services, each a process")
    async with stack_running(scratch / "stack") as environment:
        await prepare(environment)
        narrator.done(f"Kafka at {environment[KAFKA_VARIABLE]}, topics made, databases migrated")
        async with services_running(environment, image_roots=image_roots, databases=databases, logs=scratch) as (endpoints, _):
            narrator.done(", ".join(f"{name} ready" for name in SERVICES))
            yield endpoints


@asynccontextmanager
async def stack_running(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run a local stack in `folder`, gone with its data on leaving; yields the variables that name it.

    Raises:
        CommandError: it cannot start here.
    """
    try:
        async with LocalStack(folder, fast=True, keep=False) as stack:
            yield stack.environment()
    except StackError as error:
        raise CommandError("the local stack cannot start", why=str(error)) from error


async def prepare(environment: Mapping[str, str]) -> None:
    """Make topics and tables by the two one-shot jobs, both at once.

    Raises:
        CommandError: one failed; with what it said.
    """
    await asyncio.gather(_job("topics", "apply", environment=environment), _job("migrate", environment=environment))


@asynccontextmanager
async def services_running(
    environment: Mapping[str, str], *, image_roots: Sequence[Path], databases: Path, logs: Path
) -> AsyncIterator[tuple[Endpoints, Services]]:
    """Run the four services against a broker and a database that have their topics and tables; stop them on leaving.

    Args:
        environment: names the broker and the database, as the services read it.
        image_roots: folders the checker may read images from.
        databases: folder of the databases that it checks them against.
        logs: folder for the services' logs.

    Raises:
        CommandError: a service did not become ready.
    """
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    endpoints = Endpoints.of(environment, found="this deployment", urls=urls)
    services = Services(
        environment={**environment, **endpoints.environment()},
        per_service={
            name: {"IMAGE_COMMONS_HTTP_PORT": str(port), **_folders(image_roots, databases)} for name, port in ports.items()
        },
        logs=logs,
    )
    try:
        await services.start()
        await wait_until_ready(endpoints, services, timeout_s=READY_TIMEOUT_S)
        yield endpoints, services
    finally:
        await services.stop()


async def _job(*arguments: str, environment: Mapping[str, str]) -> None:
    """Run a one-shot job of the command line.

    Raises:
        CommandError: it failed; with what it said.
    """
    job = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", *arguments),
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(job.communicate(), JOB_TIMEOUT_S)
    finally:
        if job.returncode is None:
            job.kill()
            await job.wait()
    if job.returncode != 0:
        raise CommandError(
            f"image-commons {' '.join(arguments)} failed with exit code {job.returncode}", why=said.decode(errors="replace")
        )


def _folders(image_roots: Sequence[Path], databases: Path) -> dict[str, str]:
    roots = json.dumps([str(folder) for folder in image_roots])
    return {"IMAGE_COMMONS_IMAGE_ROOTS": roots, "IMAGE_COMMONS_DATABASES": str(databases)}
