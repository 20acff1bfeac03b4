"""The local stack when its servers or its supervisor are killed: back with its data on its ports, nothing left behind."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stack import LocalStack, folder_lock
from stack.local import STATUS_FILE
from tests.stack.folder import server_folder
from tests.stack.processes import descendants, wait_until_gone

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder("killed") as made:
        yield made


@contextmanager
def supervisor(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor as a process of its own, as `image-commons stack up` starts it, once it answers."""
    with (folder / "supervisor.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "stack.supervisor", str(folder)], cwd=PROJECT, stdout=log, stderr=log)
    end = time.monotonic() + 60
    try:
        while not (folder / STATUS_FILE).exists():
            assert process.poll() is None, (folder / "supervisor.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


async def names(stack: LocalStack) -> tuple[set[str], set[str]]:
    """The topics and the databases that the servers know."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap_servers)
    await admin.start()
    try:
        topics = set(await admin.list_topics())
    finally:
        await admin.close()
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        databases = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()
    return topics, databases


async def test_each_server_comes_back_after_kill_9_on_its_port_with_its_data(folder: Path) -> None:
    async with LocalStack(folder, fast=True) as stack:
        addresses = stack.environment()
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        connection = await asyncpg.connect(stack.postgres_dsn)
        await connection.execute("CREATE DATABASE kept")
        await connection.close()
        for server in ("kafka", "postgres"):
            before = stack.children[server].pid
            stack.kill(server)
            async with asyncio.timeout(30):
                while stack.children[server].pid in {0, before}:
                    await asyncio.sleep(0.02)
            await stack.until_answering(30)
            assert stack.children[server].starts >= 2
        topics, databases = await names(stack)
        assert stack.environment() == addresses
        assert "kept" in topics
        assert "kept" in databases
    # The same folder is the same stack.
    async with LocalStack(folder, fast=True, keep=False) as stack:
        assert stack.environment() == addresses
        topics, databases = await names(stack)
        assert "kept" in topics
        assert "kept" in databases
    assert not folder.exists()


def test_no_process_outlives_a_supervisor_that_is_told_to_end(folder: Path) -> None:
    with supervisor(folder) as process:
        below = descendants(process.pid)
        assert len(below) > 2, "the database's own processes are there, too"
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        wait_until_gone(below)
    assert not (folder / STATUS_FILE).exists()
    assert not folder_lock.is_held(folder)


async def test_starts_again_after_its_supervisor_was_killed_and_everything_with_it(folder: Path) -> None:
    with supervisor(folder) as process:
        addresses = json.loads((folder / STATUS_FILE).read_text())
        below = descendants(process.pid)
        assert len(below) > 2, "the database's own processes are there, too"
    wait_until_gone(below)
    assert (folder / STATUS_FILE).exists()
    assert not folder_lock.is_held(folder)
    async with LocalStack(folder, fast=True) as stack:
        assert stack.postgres_dsn == addresses["POSTGRES_DSN"]
        assert all((await stack.answers()).values())
