"""The whole system as processes of its own, restarted whenever they die."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from shared.faults import POINTS
from stack import LocalStack
from tests.checker.databases import recent_databases

SERVICES: Final = tuple(POINTS)
CHECKOUT: Final = Path(__file__).resolve().parents[2]
_RESTART_PAUSE_S: Final = 0.05
_POLL_S: Final = 0.05


class World:
    """A stack, four services, and a folder through which faults are armed.

    `folder` holds everything; `images` is the checker's image root.
    """

    def __init__(self, folder: Path, stack: LocalStack) -> None:
        """Prepare the folders of `folder`."""
        self.stack = stack
        self.folder = folder
        self.images = folder / "images"
        self.faults = folder / "faults"
        self.deaths = dict.fromkeys(SERVICES, 0)
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
        self._keepers: list[asyncio.Task[None]] = []
        for name in ("armed", "hit"):
            (self.faults / name).mkdir(parents=True, exist_ok=True)
        self.images.mkdir(exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IMAGE_COMMONS_")},
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
            "POSTGRES_DSN": stack.postgres_dsn,
            "IMAGE_COMMONS_FAULTS_DIR": str(self.faults),
            "IMAGE_COMMONS_IMAGE_ROOTS": f'["{self.images}"]',
            "IMAGE_COMMONS_DATABASES": str(recent_databases(folder)),
            "IMAGE_COMMONS_CONSUMER_SESSION_S": "1",
            "IMAGE_COMMONS_LEASE_S": "1.5",
            "IMAGE_COMMONS_RENEW_EVERY_S": "0.5",
            "IMAGE_COMMONS_CLAIMS_MAX": "30",
            "IMAGE_COMMONS_CHECK_SILENCE_S": "0.3",
            "IMAGE_COMMONS_LOG_FORMAT": "console",
        }

    async def job(self, *arguments: str) -> None:
        """Run one command of the command line to its end; raises `AssertionError` with its output if it fails."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", *arguments, cwd=CHECKOUT, env=self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, f"{arguments}: {output.decode()}"

    async def start(self) -> None:
        """Start the services and keep them running."""
        for service in SERVICES:
            await self._spawn(service)
            self._keepers.append(asyncio.create_task(self._keep(service)))
        await self.until_ready()

    async def _spawn(self, service: str) -> None:
        log = (self.folder / f"{service}.log").open("ab")
        environment = self.environment | {"IMAGE_COMMONS_HTTP_PORT": str(self.ports[service])}
        self.processes[service] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", "run", service, cwd=CHECKOUT, env=environment, stdout=log, stderr=log
        )
        log.close()

    async def _keep(self, service: str) -> None:
        while True:
            await self.processes[service].wait()
            self.deaths[service] += 1
            await asyncio.sleep(_RESTART_PAUSE_S)
            await self._spawn(service)

    def url(self, service: str, path: str) -> str:
        """Return the address of one of the service's queries."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    async def readiness(self, service: str) -> int:
        """Return the HTTP status of the service's readiness, 0 where nothing listens."""
        async with httpx.AsyncClient(timeout=5) as client:
            with suppress(httpx.HTTPError):
                answer = await client.get(self.url(service, "/health/ready"))
                return answer.status_code
        return 0

    async def until_ready(self, timeout_s: float = 60) -> None:
        """Wait until every service is ready."""
        for service in SERVICES:
            await until(lambda service=service: self.readiness(service), 200, timeout_s, f"{service} ready")

    def arm(self, point: str, victim: str) -> None:
        """Arm `point` (`<service>.<what>.<when>`): `victim` is `self`, `kafka` or `postgres`."""
        target = "self"
        if victim != "self":
            pid = self.stack.kafka_pid if victim == "kafka" else self.stack.postgres_pid
            path = self.folder / f"{victim}.pid"
            path.write_text(str(pid))
            target = str(path)
        (self.faults / "hit" / point).unlink(missing_ok=True)
        (self.faults / "armed" / point).write_text(target)

    def hit(self, point: str) -> bool:
        """Whether `point` was reached since it was armed."""
        return (self.faults / "hit" / point).exists()

    async def not_hit(self, points: Sequence[str], timeout_s: float) -> list[str]:
        """Wait until all `points` were reached since they were armed; returns those that were not in time."""
        with suppress(AssertionError):
            await until(lambda: all(map(self.hit, points)), True, timeout_s, "every point is reached")
        return [point for point in points if not self.hit(point)]

    async def follow_pids(self) -> None:
        """Keep the pid files of broker and database true while they are killed and restarted."""
        while True:
            for victim, pid in (("kafka", self.stack.kafka_pid), ("postgres", self.stack.postgres_pid)):
                path = self.folder / f"{victim}.pid"
                temporary = path.with_suffix(".new")
                temporary.write_text(str(pid))
                temporary.rename(path)
            await asyncio.sleep(_POLL_S)

    async def stop(self) -> None:
        """Stop every service and wait for it."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            await process.wait()


async def until(probe: Callable[[], object], wanted: object, timeout_s: float, what: str) -> None:
    """Wait until `probe` (a function, or a coroutine function) answers `wanted`; else raises `AssertionError` naming `what`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    answer: object = None
    while asyncio.get_running_loop().time() < deadline:
        answer = probe()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer == wanted:
            return
        await asyncio.sleep(_POLL_S)
    message = f"{what}: not within {timeout_s} s, last seen {answer!r}"
    raise AssertionError(message)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@asynccontextmanager
async def running_world(folder: Path) -> AsyncIterator[World]:
    """A migrated stack with all services running, and nothing of it afterwards."""
    async with LocalStack(folder / "stack", fast=True) as stack:
        world = World(folder, stack)
        await world.job("topics", "apply")
        await world.job("migrate")
        pids = asyncio.create_task(world.follow_pids())
        try:
            await world.start()
            yield world
        finally:
            pids.cancel()
            await asyncio.gather(pids, return_exceptions=True)
            await world.stop()
