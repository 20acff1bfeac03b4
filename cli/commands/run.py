"""``image-commons run``: one service, or all four as child processes."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
from typing import Annotated, Literal
from urllib.parse import urlsplit

import typer

from cli.errors import CommandError

ServiceName = Literal["publisher", "checker", "catalog", "launcher", "all"]


def command(
    service: Annotated[
        ServiceName, typer.Argument(help="Which service; `all` runs the four as child processes.", show_default=False)
    ],
) -> None:
    """Run a service until SIGTERM or Ctrl-C, then let it finish what it has begun.

    Settings come from the environment (IMAGE_COMMONS_…, KAFKA_BOOTSTRAP_SERVERS, POSTGRES_DSN); without them a running local
    stack is used. `all` ends, with exit code 1, as soon as one of the four ends.

    Examples:
      image-commons stack up && image-commons run all

      image-commons run checker
    """
    from cli.connection import endpoints
    from cli.processes import end_with_parent

    end_with_parent()
    found = endpoints()
    for name, value in found.environment().items():
        os.environ.setdefault(name, value)
    if service == "all":
        asyncio.run(_run_all())
    else:
        _run_one(service)


def _run_one(service: str) -> None:
    from shared.settings import SettingsError

    try:
        importlib.import_module(f"services.{service}.app").main()
    except SettingsError as error:
        raise CommandError(f"{service} cannot start", why=str(error)) from error


async def _run_all() -> None:
    from cli.connection import endpoints
    from cli.processes import Services

    # Each on the port at which the others look for it, whatever IMAGE_COMMONS_HTTP_PORT says to one of them.
    ports = {name: urlsplit(url).port for name, url in endpoints().urls.items()}
    services = Services(
        environment={}, per_service={name: {"IMAGE_COMMONS_HTTP_PORT": str(port)} for name, port in ports.items() if port}
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await services.start()
    waiting = [asyncio.create_task(stopping.wait()), asyncio.create_task(services.first_exit())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        ended = [(name, process.returncode) for name, process in services.processes.items() if process.returncode is not None]
        await services.stop()
    if ended and not stopping.is_set():
        name, code = ended[0]
        raise CommandError(
            f"{name} ended by itself with exit code {code}; the others were stopped", advice="its last log lines are above"
        )
