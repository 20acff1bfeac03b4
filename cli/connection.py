"""Where the platform is: options, else the environment, else a local stack that is running, else the defaults."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
POSTGRES_VARIABLE = "POSTGRES_DSN"
TOPIC_PREFIX_VARIABLE = "IMAGE_COMMONS_TOPIC_PREFIX"
STACK_VARIABLE = "IMAGE_COMMONS_STACK"
DEFAULT_KAFKA = "127.0.0.1:9092"
DEFAULT_POSTGRES = "postgresql://127.0.0.1:5432/postgres"
DEFAULT_TOPIC_PREFIX = "imagecommons."
SERVICE_PORTS = {"publisher": 8081, "checker": 8082, "catalog": 8083, "launcher": 8084}
STATUS_FILE = "status.json"
SERVICES_FOLDER = "services"
STATUS_BYTES_MAX = 64 * 1024
PORTS = 65_536
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one deployment.

    `found` says where Kafka's came from, for messages; `stack` is the folder of the local stack it is, if it is one. `urls` lacks
    the services that do not run on that stack: what listens at their usual ports is another deployment's.
    """

    kafka: str
    postgres_dsn: str
    topic_prefix: str
    found: str
    urls: Mapping[str, str]
    stack: Path | None = None

    @classmethod
    def of(
        cls,
        environment: Mapping[str, str],
        *,
        found: str,
        urls: Mapping[str, str] | None = None,
        stack: Path | None = None,
    ) -> Self:
        """Return the deployment that the variables in `environment` name, else the defaults."""
        usual = {name: f"http://127.0.0.1:{port}" for name, port in SERVICE_PORTS.items()}
        there = usual if stack is None else running_services(stack)
        named = {name: url for name in SERVICE_PORTS if (url := environment.get(url_variable(name)))}
        return cls(
            kafka=environment.get(KAFKA_VARIABLE) or DEFAULT_KAFKA,
            postgres_dsn=environment.get(POSTGRES_VARIABLE) or DEFAULT_POSTGRES,
            topic_prefix=environment.get(TOPIC_PREFIX_VARIABLE) or DEFAULT_TOPIC_PREFIX,
            found=found,
            urls=urls or {**there, **named},
            stack=stack,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process finds the same deployment."""
        return {**self.servers(), **{url_variable(name): url for name, url in self.urls.items()}}

    def servers(self) -> dict[str, str]:
        """Return the variables that name Kafka and PostgreSQL."""
        return {KAFKA_VARIABLE: self.kafka, POSTGRES_VARIABLE: self.postgres_dsn, TOPIC_PREFIX_VARIABLE: self.topic_prefix}

    def require_kafka_address(self) -> None:
        """Raise `CommandError`, with exit code 2, unless Kafka's address is HOST:PORT, or several of them with commas."""
        for address in self.kafka.split(","):
            host, _, port = address.strip().rpartition(":")
            if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < PORTS):
                raise CommandError(
                    f"{address.strip()!r} is no address of a Kafka broker",
                    where=f"from {self.found}",
                    advice="write HOST:PORT, for example 127.0.0.1:9092; several with commas",
                    exit_code=ExitCode.USAGE,
                )

    @property
    def postgres_place(self) -> str:
        """Where PostgreSQL is, without user and password.

        Raises:
            CommandError: with exit code 2, if what names it is no DSN.
        """
        try:
            parts = urlsplit(self.postgres_dsn)
            usable = parts.scheme in {"postgresql", "postgres"} and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise CommandError(
                "POSTGRES_DSN is no address of a PostgreSQL server",
                advice="write it as postgresql://USER:PASSWORD@HOST:PORT/postgres, or start a stack: image-commons stack up",
                exit_code=ExitCode.USAGE,
            )
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def url_variable(service: str) -> str:
    """Return the variable that holds the base URL of a service's HTTP queries."""
    return f"IMAGE_COMMONS_{service.upper()}_URL"


def endpoints(kafka: str | None = None) -> Endpoints:
    """Find the platform; `kafka` is an option of the command line and wins, then the environment, then a running local stack.

    Reads a few small files and connects to nothing.
    """
    named = {name: value for name, value in os.environ.items() if value}
    stack = running_stack()
    option = {KAFKA_VARIABLE: kafka} if kafka else {}
    origins = (("--kafka", option), (KAFKA_VARIABLE, named), ("the local stack", stack))
    found = next((origin for origin, variables in origins if KAFKA_VARIABLE in variables), "the default")
    merged = {**stack, **named, **option}
    # By its address: `stack env` names the local stack in the environment.
    local = KAFKA_VARIABLE in stack and merged[KAFKA_VARIABLE] == stack[KAFKA_VARIABLE]
    if not local:
        # Its database is not that of a platform elsewhere.
        merged = {**named, **option}
    return Endpoints.of(merged, found=found, stack=stack_folder() if local else None)


def stack_folder() -> Path:
    """Return the folder of the local stack: ``IMAGE_COMMONS_STACK``, else ``.stack`` of the project."""
    return Path(os.environ.get(STACK_VARIABLE) or PROJECT / ".stack")


def running_stack() -> dict[str, str]:
    """Return the variables that a running local stack wrote down; none if its supervisor has gone."""
    status = _document(stack_folder() / STATUS_FILE)
    try:
        os.kill(int(str(status["supervisor_pid"])), 0)
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return {}
    return {name: value for name, value in status.items() if isinstance(value, str)}


def write_service(stack: Path, service: str, url: str) -> None:
    """Write down in the stack's folder that this process is `service` and answers at `url`; others find it while it lives."""
    folder = stack / SERVICES_FOLDER
    folder.mkdir(exist_ok=True)
    for path in folder.glob(f"{service}.*.json"):
        if _address(path) is None:
            path.unlink(missing_ok=True)
    temporary = folder / f"{service}.{os.getpid()}.new"
    temporary.write_text(json.dumps({"url": url, "pid": os.getpid(), "started": _started(os.getpid())}))
    temporary.rename(temporary.with_suffix(".json"))


def running_services(stack: Path) -> dict[str, str]:
    """Return the addresses of the services that run on the local stack in folder `stack`."""
    found = {}
    for name in SERVICE_PORTS:
        for path in sorted((stack / SERVICES_FOLDER).glob(f"{name}.*.json")):
            address = _address(path)
            if address is not None:
                found[name] = address
    return found


def _address(path: Path) -> str | None:
    """Return the address that a service wrote down; None once its process has gone."""
    written = _document(path)
    url, pid, started = (written.get(key) for key in ("url", "pid", "started"))
    lives = isinstance(pid, int) and started is not None and _started(pid) == started
    return url if lives and isinstance(url, str) else None


def _started(pid: int) -> str | None:
    """Return when process `pid` was started, in ticks since boot (proc(5)); None if it is gone: a number alone is used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    except (OSError, IndexError):
        return None


def _document(path: Path) -> dict[str, object]:
    """Return a small JSON object of a file; empty for anything else."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(STATUS_BYTES_MAX))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
