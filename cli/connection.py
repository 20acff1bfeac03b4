"""Where the platform is: options, else the environment, else a local stack that is running, else the defaults."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
POSTGRES_VARIABLE = "POSTGRES_DSN"
TOPIC_PREFIX_VARIABLE = "IMAGE_COMMONS_TOPIC_PREFIX"
STACK_VARIABLE = "IMAGE_COMMONS_STACK"
DEFAULT_KAFKA = "127.0.0.1:9092"
DEFAULT_POSTGRES = "postgresql://127.0.0.1:5432/postgres"
DEFAULT_TOPIC_PREFIX = "imagecommons."
SERVICE_PORTS = {"publisher": 8081, "checker": 8082, "catalog": 8083, "launcher": 8084}
STATUS_BYTES_MAX = 64 * 1024
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one deployment; `found` says where Kafka's came from, for messages."""

    kafka: str
    postgres_dsn: str
    topic_prefix: str
    found: str
    urls: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the variables by which a child process finds the same deployment."""
        return {
            KAFKA_VARIABLE: self.kafka,
            POSTGRES_VARIABLE: self.postgres_dsn,
            TOPIC_PREFIX_VARIABLE: self.topic_prefix,
            **{url_variable(service): url for service, url in self.urls.items()},
        }


def url_variable(service: str) -> str:
    """Return the variable that holds the base URL of a service's HTTP queries."""
    return f"IMAGE_COMMONS_{service.upper()}_URL"


def endpoints(kafka: str | None = None) -> Endpoints:
    """Find the platform; `kafka` is an option of the command line and wins.

    Reads at most one small file and connects to nothing.
    """
    stack = {} if os.environ.get(KAFKA_VARIABLE) and os.environ.get(POSTGRES_VARIABLE) else _running_stack()
    if kafka:
        found = "--kafka"
    elif os.environ.get(KAFKA_VARIABLE):
        found = KAFKA_VARIABLE
    elif KAFKA_VARIABLE in stack:
        found = "the local stack"
    else:
        found = "the default"
    return Endpoints(
        kafka=kafka or os.environ.get(KAFKA_VARIABLE) or stack.get(KAFKA_VARIABLE) or DEFAULT_KAFKA,
        postgres_dsn=os.environ.get(POSTGRES_VARIABLE) or stack.get(POSTGRES_VARIABLE) or DEFAULT_POSTGRES,
        topic_prefix=os.environ.get(TOPIC_PREFIX_VARIABLE) or DEFAULT_TOPIC_PREFIX,
        found=found,
        urls={
            service: os.environ.get(url_variable(service)) or f"http://127.0.0.1:{port}"
            for service, port in SERVICE_PORTS.items()
        },
    )


def stack_folder() -> Path:
    """Return the folder of the local stack: ``IMAGE_COMMONS_STACK``, else ``.stack`` of the project."""
    return Path(os.environ.get(STACK_VARIABLE) or PROJECT / ".stack")


def _running_stack() -> dict[str, str]:
    """Return the addresses that a running local stack wrote down; empty if none is running."""
    try:
        json.loads((stack_folder() / "status.json").read_bytes()[:STATUS_BYTES_MAX])
    except (OSError, ValueError):
        return {}
    return {}
