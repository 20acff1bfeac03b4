"""A real Kafka and a real PostgreSQL for every test that asks: what the environment names, else containers, else the local stack.

Each test has topics and databases of its own, by prefix.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from shared.database.migrate_job import SERVICES, migrate_all
from shared.database.pool import Database
from shared.messaging.topics_job import apply_topics
from shared.settings import CommonSettings
from stack import LocalStack

_TEMPLATE_PREFIX = "template_"
_SUITES_APART = tuple(Path(__file__).parent / name for name in ("crash", "images", "startup"))
OpenDatabase = Callable[[str], Awaitable[Database]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the slow suites to the targets of the Makefile that name them."""
    given = [Path(one.split("::")[0]).resolve() for one in config.args]
    if collection_path in _SUITES_APART and not any(one.is_relative_to(collection_path) for one in given):
        return True
    return None


class _StackThread:
    """The local stack, held by a thread with an event loop of its own: the tests' loops come and go."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="image-commons-tests-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.variables: dict[str, str] = {}
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), name="local-stack")

    async def _hold(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with LocalStack(self.folder, fast=True, keep=False) as stack:
                self.variables = stack.environment()
                self._ready.set()
                await self._stopping.wait()
        except BaseException as failure:
            self._failure = failure
            raise
        finally:
            self._ready.set()

    def start(self) -> dict[str, str]:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self.variables

    def stop(self) -> None:
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)


def _containers_can_be_had() -> bool:
    """Whether an engine answers and has both images: a test run pulls nothing."""
    if shutil.which("docker") is None:
        return False
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", "apache/kafka:4.3.1", "postgres:17"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """`KAFKA_BOOTSTRAP_SERVERS` and `POSTGRES_DSN` of the servers this run uses."""
    names = ("KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_DSN")
    if all(os.environ.get(name) for name in names):
        yield {name: os.environ[name] for name in names}
        return
    if _containers_can_be_had():
        from tests.containers import containers

        with containers() as variables:
            yield variables
        return
    stack = _StackThread()
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap_servers(servers: dict[str, str]) -> str:
    return servers["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture(scope="session")
def postgres_dsn(servers: dict[str, str]) -> str:
    return servers["POSTGRES_DSN"]


@pytest.fixture(scope="session")
def template_prefix(postgres_dsn: str) -> str:
    """Prefix of databases that are migrated once a run and copied for each test."""
    prefix = f"{_TEMPLATE_PREFIX}{os.urandom(4).hex()}_"
    settings = CommonSettings.model_validate({"postgres_dsn": postgres_dsn, "database_prefix": prefix})
    asyncio.run(migrate_all(settings))
    return prefix


@pytest.fixture
def prefix() -> str:
    """What goes before the names of this test's topics, databases and roles."""
    return f"t{os.urandom(5).hex()}"


@pytest.fixture
def topic_prefix(prefix: str) -> str:
    return f"{prefix}."


@pytest.fixture
def common_settings(servers: dict[str, str], prefix: str) -> CommonSettings:
    """Settings of a deployment of this test's own; its databases exist once they were opened."""
    return CommonSettings.model_validate(
        {
            "kafka_bootstrap_servers": servers["KAFKA_BOOTSTRAP_SERVERS"],
            "postgres_dsn": servers["POSTGRES_DSN"],
            "database_prefix": f"{prefix}_",
            "topic_prefix": f"{prefix}.",
            "drain_timeout_s": 10,
            "log_format": "console",
            "log_level": "WARNING",
        }
    )


@pytest.fixture
async def topics(common_settings: CommonSettings) -> AsyncIterator[str]:
    """Yield the prefix of this test's topics; they are deleted afterwards: a small broker has no memory for a whole run's."""
    prefix = common_settings.topic_prefix
    await apply_topics(common_settings.kafka_bootstrap_servers, prefix=prefix)
    yield prefix
    admin = AIOKafkaAdminClient(bootstrap_servers=common_settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])
    finally:
        await admin.close()


@pytest.fixture
async def make_databases(common_settings: CommonSettings, template_prefix: str) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """A function that makes this test's database of each service it is given (all, without arguments)."""
    made: list[str] = []
    admin = await asyncpg.connect(common_settings.admin_dsn())

    async def make(*services: str) -> None:
        for service in services or SERVICES:
            name, template = f"{common_settings.database_prefix}{service}", f"{template_prefix}{service}"
            if name in made:
                continue
            # Tables belong to the template's role: membership makes the test's role as good as their owner.
            await admin.execute(
                f'CREATE ROLE "{name}" LOGIN PASSWORD \'{common_settings.role_password(service) or ""}\' IN ROLE "{template}"'
            )
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            made.append(name)

    yield make
    for name in made:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.execute(f'DROP ROLE "{name}"')
    await admin.close()


@pytest.fixture
async def open_database(
    common_settings: CommonSettings, make_databases: Callable[..., Awaitable[None]]
) -> AsyncIterator[OpenDatabase]:
    """A function that makes, migrated, this test's database of a service, and returns it open."""
    async with AsyncExitStack() as stack:

        async def open_one(service: str) -> Database:
            await make_databases(service)
            database = await Database.connect(
                common_settings.service_dsn(service), service=service, topic_prefix=common_settings.topic_prefix
            )
            stack.push_async_callback(database.close)
            return database

        yield open_one


def as_database(dsn: str, name: str) -> str:
    """Return `dsn` with the database `name`."""
    parts = urlsplit(dsn)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
