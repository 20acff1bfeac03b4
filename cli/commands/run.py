"""``image-commons run``: one service, or all four as child processes."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from cli.connection import Endpoints
    from cli.image_roots import ImageRoots
    from cli.processes import Services

ServiceName = Literal["publisher", "checker", "catalog", "launcher", "all"]
SLOW_AFTER_S = 30.0
START_UP_S = 60.0
_STARTED = time.time()


def command(
    service: Annotated[
        ServiceName, typer.Argument(help="Which service; `all` runs the four as child processes.", show_default=False)
    ],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="Folder the checker may read images from; give it once for each. Otherwise IMAGE_COMMONS_IMAGE_ROOTS "
            "(folders with `:` between them, or JSON), else on a local stack .cache/demo and images of the checkout.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a service until SIGTERM or Ctrl-C, then let it finish what it has begun.

    Settings come from the environment (IMAGE_COMMONS_…, KAFKA_BOOTSTRAP_SERVERS, POSTGRES_DSN); without them a running local
    stack is used. `all` says when all four are ready, and ends, with exit code 1, as soon as one of the four ends.

    Examples:
      image-commons stack up && image-commons run all

      image-commons run checker --images /srv/images
    """
    from cli.connection import endpoints
    from cli.database_folder import VARIABLE, folder_to_run_with
    from cli.processes import PARENT_VARIABLE, SERVICES, end_with_parent
    from cli.servers import require_servers

    supervised = PARENT_VARIABLE in os.environ
    end_with_parent()
    if images and service not in {"checker", "all"}:
        raise CommandError("only the checker reads images", advice="leave --images out", exit_code=ExitCode.USAGE)
    found = endpoints()
    found.require_kafka_address()
    assert found.postgres_place
    for name, value in found.servers().items():
        os.environ.setdefault(name, value)
    roots = _name_image_roots(images or [], found) if service in {"checker", "all"} else None
    if service in {"checker", "all"}:
        os.environ.setdefault(VARIABLE, str(folder_to_run_with(local=found.stack is not None)))
    for name in SERVICES if service == "all" else (service,):
        _require_usable_settings(name)
    # Servers that the environment names may be on their way, after a restart of the machine: a service waits for those.
    if not supervised and (service == "all" or found.found in {"the default", "the local stack"}):
        asyncio.run(require_servers(found, "publisher" if service == "all" else service))
    # A service of a real platform logs lines for machines; a warning is worth one that is none.
    if roots is not None and not supervised and (service == "all" or sys.stderr.isatty() or not roots.folders):
        roots.tell()
    if sys.stderr.isatty():
        # A person is told when all are ready, and otherwise what is wrong; IMAGE_COMMONS_LOG_LEVEL=INFO tells more.
        os.environ.setdefault("IMAGE_COMMONS_LOG_FORMAT", "console")
        os.environ.setdefault("IMAGE_COMMONS_LOG_LEVEL", "WARNING")
    if service == "all":
        asyncio.run(_run_all(found))
    else:
        _run_one(service, found)


def _name_image_roots(given: list[Path], found: Endpoints) -> ImageRoots | None:
    from cli.image_roots import ROOTS_VARIABLE, image_roots

    roots = image_roots(given, os.environ, local=found.stack is not None)
    if roots is not None:
        os.environ[ROOTS_VARIABLE] = roots.variable()
    return roots


def _require_usable_settings(service: str) -> None:
    """Raise `CommandError` if the environment does not describe this service; its settings name each variable at fault."""
    from shared.settings import SettingsError

    try:
        getattr(importlib.import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings").from_environment()
    except SettingsError as error:
        raise CommandError(f"{service} cannot start", why=str(error)) from error


def _run_one(service: str, found: Endpoints) -> None:
    import asyncpg

    from cli.connection import write_service
    from cli.ports import HTTP_PORT_VARIABLE, ports_for
    from cli.servers import plainly
    from shared.settings import SettingsError

    if found.stack is not None:
        if not os.environ.get(HTTP_PORT_VARIABLE):
            os.environ[HTTP_PORT_VARIABLE] = str(ports_for(found, (service,))[service])
        write_service(found.stack, service, f"http://127.0.0.1:{os.environ[HTTP_PORT_VARIABLE]}")
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(_not_start_up_noise)
    try:
        importlib.import_module(f"services.{service}.app").main()
    except SettingsError as error:
        taken = "cannot listen" in str(error)
        advice = f"stop what listens there, or name a free port in {HTTP_PORT_VARIABLE}" if taken else None
        raise CommandError(f"{service} cannot start", why=str(error), advice=advice) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            f"{service} lost its servers, or never reached them",
            where=f"Kafka at {found.kafka}, PostgreSQL at {found.postgres_place}",
            why=plainly(error),
            advice="start a local stack: image-commons stack up; or name yours in KAFKA_BOOTSTRAP_SERVERS and POSTGRES_DSN",
        ) from error


def _not_start_up_noise(record: logging.LogRecord) -> bool:
    """Whether a line of the Kafka client is worth showing: while all start, there is no group coordinator for a moment."""
    if record.created - _STARTED > START_UP_S:
        return True
    return not any(words in record.getMessage() for words in ("GroupCoordinatorNotAvailable", "Marking the coordinator dead"))


async def _run_all(found: Endpoints) -> None:
    from cli.output import console, plain
    from cli.ports import HTTP_PORT_VARIABLE, ports_for
    from cli.processes import SERVICES, Services, how_it_ended

    ports = ports_for(found, SERVICES)
    services = Services(environment={}, per_service={name: {HTTP_PORT_VARIABLE: str(port)} for name, port in ports.items()})
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await services.start()
    telling = asyncio.create_task(_tell_when_ready(services, ports))
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stopping.wait()), asyncio.create_task(services.first_exit())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, *waiting):
            task.cancel()
        ended = [(name, process.returncode) for name, process in services.processes.items() if process.returncode is not None]
        await services.stop()
    if ended and not stopping.is_set():
        name, code = ended[0]
        raise CommandError(f"{name} {how_it_ended(code)}; the others were stopped", advice="its last log lines are above")
    console(stderr=True).print(plain("all four services have stopped"))


async def _tell_when_ready(services: Services, ports: dict[str, int]) -> None:
    """Say when all are ready; and if that takes long, once, what they wait for."""
    from cli.output import console, plain
    from cli.readiness import all_ready, what_they_wait_for

    out, urls = console(stderr=True), {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    ready = asyncio.create_task(all_ready(urls))
    try:
        if not (await asyncio.wait([ready], timeout=SLOW_AFTER_S))[0]:
            out.print(
                plain(f"not all ready after {SLOW_AFTER_S:g} s: {await what_they_wait_for(urls)}", "yellow"), soft_wrap=True
            )
        await ready
    finally:
        ready.cancel()
    where = ", ".join(f"{name} {url}" for name, url in urls.items() if name in services.processes)
    out.print(plain(f"all four services are ready: {where}", "bold green"), soft_wrap=True)
