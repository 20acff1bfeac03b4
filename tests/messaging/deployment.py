"""Sample services run in this process, as a deployment would run them in several."""

import asyncio
from collections.abc import Sequence
from typing import Any

from shared.database.pool import Database
from shared.messaging.service import Consume, Service
from shared.settings import CommonSettings
from tests.messaging.cluster import Cluster, eventually
from tests.messaging.sample import accounts, permits


class Deployment:
    """Runs services, each as a task."""

    def __init__(self, settings: CommonSettings, database: Database, cluster: Cluster) -> None:
        """Run them with `settings`; `database` and `cluster` are for looking."""
        self.settings, self.database, self.cluster = settings, database, cluster
        self._running: dict[int, tuple[Service, asyncio.Task[None]]] = {}

    def begin(self, consumes: Sequence[Consume] | None = None, **options: Any) -> Service:
        """Run a service, by default one that keeps accounts and answers permit requests."""
        wishes = (
            consumes if consumes is not None else [Consume("account-facts", accounts()), Consume("operator-requests", permits())]
        )
        service = Service("sample", options.pop("settings", self.settings), consumes=wishes, **options)
        self._running[id(service)] = (service, asyncio.create_task(service.run()))
        return service

    async def start(self, consumes: Sequence[Consume] | None = None, **options: Any) -> Service:
        """Run a service and wait until it is ready."""
        service = self.begin(consumes, **options)
        await self.ready(service)
        return service

    async def ready(self, service: Service, *, within_s: float = 20) -> None:
        """Wait until `service` says that it is ready."""

        async def ready() -> bool:
            self.check(service)
            try:
                # A service that has not come so far as to name its needs is not ready, either; over HTTP nobody could ask yet.
                return bool(service.health.needs) and not await service.health.not_ready()
            except RuntimeError:
                return False

        await eventually(ready, within_s=within_s)

    async def not_ready(self, service: Service, about: str, *, within_s: float = 20) -> str:
        """Wait until `service` says why it is not ready, naming `about`; returns what it says."""

        async def told() -> str | None:
            self.check(service)
            try:
                reasons = await service.health.not_ready()
            except RuntimeError:
                return None
            return next((f"{name}: {reason}" for name, reason in reasons.items() if about in f"{name}: {reason}"), None)

        return await eventually(told, within_s=within_s) or ""

    def check(self, service: Service) -> None:
        """Raise what ended `service`, if something did."""
        task = self._running[id(service)][1]
        if task.done():
            task.result()

    async def stop(self, service: Service, *, within_s: float = 20) -> None:
        """Stop `service` in an orderly way."""
        service.stop()
        await self.ended(service, within_s=within_s)

    async def ended(self, service: Service, *, within_s: float = 20) -> None:
        """Wait until `service` has ended; raises what ended it."""
        _, task = self._running.pop(id(service))
        await asyncio.wait_for(task, within_s)

    async def kill(self, service: Service) -> None:
        """End `service` without any drain."""
        _, task = self._running.pop(id(service))
        task.cancel()
        await asyncio.wait([task], timeout=20)

    async def stop_all(self) -> None:
        """Stop what still runs."""
        for service, _ in list(self._running.values()):
            await self.stop(service)

    async def kept(self, count: int, *, within_s: float = 20) -> None:
        """Wait until `count` accounts are kept."""

        async def enough() -> bool:
            return bool(await self.database.pool.fetchval("SELECT count(*) = $1 FROM accounts", count))

        await eventually(enough, within_s=within_s)

    async def sent(self) -> None:
        """Wait until the outbox is empty."""

        async def empty() -> bool:
            return not await self.database.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)")

        await eventually(empty)
