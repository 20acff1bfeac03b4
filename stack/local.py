"""Both servers together, with their data in one folder."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from stack import folder_lock
from stack.kafka_server import KafkaMissing, kafka_answers, kafka_child, wait_for_kafka
from stack.postgres_server import PostgresMissing, data_folder, postgres_answers, postgres_child, wait_for_postgres

if TYPE_CHECKING:
    from stack.child import Child

STATUS_FILE: Final = "status.json"
_START_TIMEOUT_S: Final = 90.0


class StackError(Exception):
    """The stack cannot run here; the text says what is missing or in the way, and what to do."""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class LocalStack:
    """A Kafka broker and a PostgreSQL server as children of this process, restarted on the same ports when they die.

    Used as an async context manager. `folder` holds their data and logs; it is kept, unless `keep` is false. Ports and password
    are written down in it, so that a stack started anew in the same folder is the same stack. Raises `StackError`.
    """

    def __init__(self, folder: Path, *, fast: bool = False, keep: bool = True) -> None:
        self.folder = Path(folder).absolute()
        self._fast = fast
        self._keep = keep
        self._tell: Callable[[str], None] = lambda _: None
        self.children: dict[str, Child] = {}
        self._identity: dict[str, int | str] = {}
        self._lock: int | None = None

    def on_progress(self, tell: Callable[[str], None]) -> Self:
        """Have `tell` called with each step of the start, in words."""
        self._tell = tell
        return self

    @property
    def kafka_bootstrap_servers(self) -> str:
        """The broker's address."""
        return f"127.0.0.1:{self._identity['kafka_port']}"

    @property
    def postgres_dsn(self) -> str:
        """The server's DSN, as its administrator."""
        return f"postgresql://postgres:{self._identity['password']}@127.0.0.1:{self._identity['postgres_port']}/postgres"

    @property
    def kafka_pid(self) -> int:
        """The broker's process id; 0 while it is down."""
        return self.children["kafka"].pid

    @property
    def postgres_pid(self) -> int:
        """The server's process id; 0 while it is down."""
        return self.children["postgres"].pid

    def environment(self) -> dict[str, str]:
        """Return the variables by which others find this stack."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers, "POSTGRES_DSN": self.postgres_dsn}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send `kafka` or `postgres` a signal, SIGKILL by default."""
        self.children[name].kill(number)

    @asynccontextmanager
    async def away(self, name: str) -> AsyncIterator[None]:
        """Keep `kafka` or `postgres` killed for as long as the context lasts."""
        self.children[name].hold()
        try:
            yield
        finally:
            self.children[name].release()

    async def answers(self) -> dict[str, bool]:
        """Tell of each server whether it answers a real request."""
        return {
            "kafka": await kafka_answers(self.kafka_bootstrap_servers),
            "postgres": await postgres_answers(self.postgres_dsn),
        }

    async def until_answering(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until both answer; raises `StackError` naming the logs if they do not within `timeout_s`."""
        try:
            await asyncio.gather(
                wait_for_kafka(self.kafka_bootstrap_servers, timeout_s), wait_for_postgres(self.postgres_dsn, timeout_s)
            )
        except TimeoutError as error:
            message = f"not answering after {timeout_s:.0f} s: {await self.answers()}; see the logs in {self.folder}"
            raise StackError(message) from error

    async def __aenter__(self) -> Self:
        try:
            self._take_folder()
            self._identity = self._remember()
            self._tell("preparing Kafka and PostgreSQL")
            kafka, postgres = await asyncio.gather(
                kafka_child(
                    self.folder / "kafka",
                    port=int(self._identity["kafka_port"]),
                    controller_port=int(self._identity["controller_port"]),
                    fast=self._fast,
                ),
                postgres_child(
                    self.folder / "postgres",
                    port=int(self._identity["postgres_port"]),
                    password=str(self._identity["password"]),
                ),
            )
        except (KafkaMissing, PostgresMissing, OSError) as error:
            self._leave_folder()
            message = f"the local stack cannot start: {error}"
            raise StackError(message) from error
        except BaseException:
            self._leave_folder()
            raise
        self.children = {"kafka": kafka, "postgres": postgres}
        self._tell("starting them")
        try:
            for child in self.children.values():
                await child.start()
            await self.until_answering()
        except BaseException:
            await self._stop()
            raise
        self._tell("both answer")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await asyncio.gather(*(child.stop() for child in self.children.values()))
        if not self._keep:
            remove(self.folder)
        self._leave_folder()

    def _take_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = folder_lock.take(self.folder)
        if self._lock is None:
            message = f"another stack runs in {self.folder}: stop it (image-commons stack down), or use another folder"
            raise StackError(message)
        # What a killed supervisor wrote down is about processes that are gone.
        (self.folder / STATUS_FILE).unlink(missing_ok=True)

    def _leave_folder(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _remember(self) -> dict[str, int | str]:
        """Return ports and password of this folder's stack, choosing them the first time."""
        path = self.folder / "identity.json"
        if path.exists():
            identity: dict[str, int | str] = json.loads(path.read_text())
            return identity
        kafka_port, controller_port, postgres_port = _free_ports(3)
        identity = {
            "kafka_port": kafka_port,
            "controller_port": controller_port,
            "postgres_port": postgres_port,
            "password": secrets.token_hex(16),
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(identity, file)
        return identity


def remove(folder: Path) -> None:
    """Delete a stopped stack's data, wherever it lies."""
    data = data_folder(folder / "postgres")
    for path in (data, folder):
        shutil.rmtree(path, ignore_errors=True)
