"""Where the platform is: options, else the environment, else a local stack that is running, else the defaults."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

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
STATUS_BYTES_MAX = 64 * 1024
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one deployment; `found` says where Kafka's came from, for messages."""

    kafka: str
    postgres_dsn: str
    topic_prefix: str
    found: str
    urls: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str], *, found: str, urls: Mapping[str, str] | None = None) -> Self:
        """Return the deployment that the variables in `environment` name, else the defaults."""
        return cls(
            kafka=environment.get(KAFKA_VARIABLE) or DEFAULT_KAFKA,
            postgres_dsn=environment.get(POSTGRES_VARIABLE) or DEFAULT_POSTGRES,
            topic_prefix=environment.get(TOPIC_PREFIX_VARIABLE) or DEFAULT_TOPIC_PREFIX,
            found=found,
            urls=urls
            or {name: environment.get(url_variable(name)) or f"http://127.0.0.1:{port}" for name, port in SERVICE_PORTS.items()},
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process finds the same deployment."""
        known = {KAFKA_VARIABLE: self.kafka, POSTGRES_VARIABLE: self.postgres_dsn, TOPIC_PREFIX_VARIABLE: self.topic_prefix}
        return {**known, **{url_variable(name): url for name, url in self.urls.items()}}


def url_variable(service: str) -> str:
    """Return the variable that holds the base URL of a service's HTTP queries."""
    return f"IMAGE_COMMONS_{service.upper()}_URL"


def endpoints(kafka: str | None = None) -> Endpoints:
    """Find the platform; `kafka` is an option of the command line and wins, then the environment, then a running local stack.

    Reads at most one small file and connects to nothing.
    """
    named = {name: value for name, value in os.environ.items() if value}
    stack = {} if KAFKA_VARIABLE in named and POSTGRES_VARIABLE in named else running_stack()
    option = {KAFKA_VARIABLE: kafka} if kafka else {}
    origins = (("--kafka", option), (KAFKA_VARIABLE, named), ("the local stack", stack))
    found = next((origin for origin, variables in origins if KAFKA_VARIABLE in variables), "the default")
    return Endpoints.of({**stack, **named, **option}, found=found)


def stack_folder() -> Path:
    """Return the folder of the local stack: ``IMAGE_COMMONS_STACK``, else ``.stack`` of the project."""
    return Path(os.environ.get(STACK_VARIABLE) or PROJECT / ".stack")


def running_stack() -> dict[str, str]:
    """Return the variables that a running local stack wrote down; none if its supervisor has gone."""
    try:
        with (stack_folder() / STATUS_FILE).open("rb") as file:
            status = json.loads(file.read(STATUS_BYTES_MAX))
        os.kill(int(status["supervisor_pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: value for name, value in status.items() if isinstance(value, str)}
