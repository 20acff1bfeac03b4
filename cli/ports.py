"""On which ports services answer: their usual ones, or on a local stack free ones where those are taken."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.connection import SERVICE_PORTS, url_variable
from cli.errors import CommandError, ExitCode
from cli.readiness import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.connection import Endpoints

HTTP_PORT_VARIABLE = "IMAGE_COMMONS_HTTP_PORT"


def ports_for(found: Endpoints, names: Sequence[str]) -> dict[str, int]:
    """Return a port for each of the services `names`: where the others look for it.

    On a local stack that is written down, so any free port will do where the usual one is taken.

    Raises:
        CommandError: an address is no URL with a port, or what is named is taken.
    """
    chosen, spare = {}, iter(free_ports(len(names)))
    for name in names:
        url = os.environ.get(url_variable(name))
        port = SERVICE_PORTS[name] if url is None else _port_of(name, url)
        if is_free(port):
            chosen[name] = port
        elif found.stack is not None and url is None:
            chosen[name] = next(spare)
        else:
            raise CommandError(
                f"port {port}, on which {name} is to answer, is taken",
                where=f"127.0.0.1:{port}",
                advice=f"stop what listens there, or name another address in {url_variable(name)}, as http://127.0.0.1:PORT",
            )
    return chosen


def is_free(port: int) -> bool:
    """Whether a service could listen on a loopback port now."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _port_of(name: str, url: str) -> int:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    if port is None:
        raise CommandError(
            f"the address of {name} has no port",
            where=url,
            advice=f"write {url_variable(name)} as http://127.0.0.1:PORT",
            exit_code=ExitCode.USAGE,
        )
    return port
