"""A whole platform for tests of the command line: broker, database and the four services, as processes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.connection import TOPIC_PREFIX_VARIABLE, Endpoints
from cli.processes import Services
from demo.deployment import prepare, services_running
from tests.checker.databases import recent_databases

PROJECT = Path(__file__).resolve().parents[2]
COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True)
class Platform:
    """A running platform, and the command line on it."""

    endpoints: Endpoints
    services: Services
    variables: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command; standard output is a pipe, so it answers in JSON."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=PROJECT, env={**os.environ, **self.variables, **environment},
            capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """Run a command that ends with `exit_code`; return the document it printed."""
        done = self.run(*arguments)
        assert done.returncode == exit_code, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


@asynccontextmanager
async def platform_running(servers: Mapping[str, str], scratch: Path, image_roots: Sequence[Path]) -> AsyncIterator[Platform]:
    """Run a platform on `servers`, under names of its own."""
    token = secrets.token_hex(4)
    databases = recent_databases(scratch)
    variables = {**servers, TOPIC_PREFIX_VARIABLE: f"cli-{token}.", "IMAGE_COMMONS_DATABASE_PREFIX": f"cli_{token}_"}
    await prepare(variables)
    async with services_running(variables, image_roots=image_roots, databases=databases, logs=scratch) as (endpoints, services):
        named = {**variables, **endpoints.environment(), "IMAGE_COMMONS_DATABASES": str(databases)}
        yield Platform(endpoints, services, named)
