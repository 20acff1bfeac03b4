"""The runtime of a service: consumers, relay, timers, parked requests, HTTP, health, and an orderly stop."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber
from starlette.routing import BaseRoute

from shared.database.errors import Fault, fault_of
from shared.database.pool import Database
from shared.health import Health, Need
from shared.http.application import application
from shared.messaging.connections import guard_connections
from shared.messaging.handlers import BatchHandler, EachHandler, TimerHandler
from shared.messaging.parked import ParkedRequests
from shared.messaging.processor import Processor
from shared.messaging.relay import Relay
from shared.messaging.retention import sweep_inbox
from shared.messaging.subscribers import start_subscriber, subscribe
from shared.messaging.subscription import Subscription
from shared.messaging.timers import Timers
from shared.settings import CommonSettings, SettingsError
from shared.telemetry.logs import configure_logs, get_logger

_TURN_S: Final = 0.2
_SWEEP_S: Final = 60.0
_RETRY_FIRST_S: Final = 0.2
_RETRY_MAX_S: Final = 5.0
_START_PATIENCE_S: Final = 60.0
_GOODBYE_S: Final = 5.0

logger = get_logger(__name__)
Task = Callable[["Service"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consume:
    """A subscription a service wants: `topic` by its short name, what to do with its events, how many a transaction takes."""

    topic: str
    handler: BatchHandler
    batch_records_max: int | None = None
    gather_s: float = 0.004
    """How long after a batch no further one is polled: a follower that nobody waits for can afford more."""


@dataclass(slots=True)
class Service:
    """One service process.

    `http_port` 0 leaves HTTP out. `tasks` are loops of the service's own, run beside the others; each ends when it is cancelled,
    and one that fails takes the process down, for a supervisor to start anew.
    """

    name: str
    settings: CommonSettings
    consumes: Sequence[Consume] = ()
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    routes: Sequence[BaseRoute] = ()
    tasks: Sequence[Task] = ()
    needs: Mapping[str, Need] = field(default_factory=dict)
    """What it needs to be ready beside database and broker, from the first readiness query on."""
    http_port: int = 0
    relays: bool = True
    """Whether this service emits anything (dead letters are emitted by all, so only a bench turns it off)."""
    _database: Database | None = None
    _health: Health | None = None
    _relay: Relay | None = None
    _http: uvicorn.Server | None = None
    _subscriptions: dict[str, Subscription] = field(default_factory=dict)
    _retrying: dict[str, str] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def database(self) -> Database:
        """The service's database; raises `RuntimeError` before `run` has opened it."""
        if self._database is None:
            message = f"{self.name}: the database is opened by run()"
            raise RuntimeError(message)
        return self._database

    @property
    def health(self) -> Health:
        """The service's health; raises `RuntimeError` before `run`."""
        if self._health is None:
            message = f"{self.name}: health exists once run() began"
            raise RuntimeError(message)
        return self._health

    def stop(self) -> None:
        """Begin an orderly stop; `run` returns when it is done."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until SIGTERM, SIGINT or `stop`, then drain within `drain_timeout_s`.

        Raises `OSError` or `asyncpg.PostgresError` if the database cannot be reached at start within a minute, and what a
        task of the service's own raises.
        """
        configure_logs(service=self.name, log_format=self.settings.log_format, log_level=self.settings.log_level)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._health = Health(stalled_after_s=self.settings.stalled_after_s, needs=dict(self.needs))
        async with AsyncExitStack() as stack:
            stack.callback(_let_go_of_signals, loop)
            self._database = await self._open_database()
            stack.push_async_callback(self._close_database)
            await self._work(stack)

    async def _work(self, stack: AsyncExitStack) -> None:
        guard_connections()
        broker = KafkaBroker(
            self.settings.kafka_bootstrap_servers,
            client_id=f"image-commons-{self.name}",
            allow_auto_create_topics=False,
            consumer_only=True,
            apply_types=False,
            logger=None,
            graceful_timeout=self.settings.drain_timeout_s,
        )
        running: list[asyncio.Task[None]] = []
        stack.push_async_callback(self._end, broker, running)
        if self.http_port:
            running.append(asyncio.create_task(self._serve_http(self._listen()), name="http"))
        self._prepare_subscriptions()
        self._relay = self._make_relay()
        if self._relay is not None:
            running.append(asyncio.create_task(self._relay.run(), name="relay"))
        await self._subscribe(broker)
        running.extend(self._loops())
        running.extend(
            asyncio.create_task(_as_coroutine(task, self), name=f"task.{position}") for position, task in enumerate(self.tasks)
        )
        await logger.ainfo("service_started", http_port=self.http_port, consumes=[wish.topic for wish in self.consumes])
        await self._until_stopped(running)

    async def _until_stopped(self, running: list["asyncio.Task[None]"]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done:
            if task is not stopping:
                task.result()
                message = f"{self.name}: {task.get_name()} ended by itself"
                raise RuntimeError(message)

    def _prepare_subscriptions(self) -> None:
        for wish in self.consumes:
            processor = Processor(
                database=self.database,
                service=self.name,
                topic=wish.topic,
                handler=wish.handler,
                failed_share_max=self.settings.handler_failed_share_max,
                end_offsets=self._end_offsets,
                beat=lambda topic=wish.topic: self.health.beat(f"consume.{topic}"),  # type: ignore[misc]
                on_retry=lambda reason, topic=wish.topic: self._note_retry(topic, reason),  # type: ignore[misc]
            )
            self._subscriptions[wish.topic] = Subscription(
                processor=processor,
                database=self.database,
                health=self.health,
                topic_prefix=self.settings.topic_prefix,
                gather_s=wish.gather_s,
            )
        self.health.needs |= {"database": self._database_need, "broker": self._broker_need, "backlog": self._backlog_need}

    async def _subscribe(self, broker: KafkaBroker) -> None:
        """Start reading, waiting for a broker or topics still on their way, or for the order to stop."""
        topics = {wish.topic: wish.batch_records_max or self.settings.batch_records_max for wish in self.consumes}
        subscriptions = [self._subscriptions[topic] for topic in topics]
        subscribers = await subscribe(
            broker,
            subscriptions,
            group_prefix=f"{self.settings.topic_prefix}{self.name}.",
            records_max=topics,
            session_timeout_s=self.settings.consumer_session_s,
        )
        starting = asyncio.gather(*(self._start_when_possible(*pair) for pair in zip(subscribers, subscriptions, strict=True)))
        stopping = asyncio.create_task(self._stopping.wait())
        waited: set[asyncio.Future[Any]] = {starting, stopping}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting

    async def _start_when_possible(self, subscriber: BatchSubscriber, subscription: Subscription) -> None:
        pause_s = _RETRY_FIRST_S
        while True:
            try:
                await start_subscriber(subscriber, subscription)
            except (OSError, TimeoutError, KafkaError) as error:
                await logger.awarning(
                    "broker_awaited",
                    topic=subscription.full_topic,
                    error=repr(error),
                    address=self.settings.kafka_bootstrap_servers,
                )
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_MAX_S)
            else:
                return

    async def _end_offsets(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        if topic not in self._subscriptions:
            message = f"{self.name} does not read {topic} and cannot wait for it"
            raise RuntimeError(message)
        return await self._subscriptions[topic].end_offsets(topic, partitions)

    def _make_relay(self) -> Relay | None:
        if not self.relays:
            return None
        relay = Relay(
            service=self.name,
            dsn=self.settings.service_dsn(self.name),
            bootstrap_servers=self.settings.kafka_bootstrap_servers,
            health=self.health,
        )
        self.database.on_outbox = relay.wake
        return relay

    def _loops(self) -> list["asyncio.Task[None]"]:
        handlers = {wish.topic: wish.handler for wish in self.consumes if isinstance(wish.handler, EachHandler)}
        share_max = self.settings.handler_failed_share_max
        parked = ParkedRequests(self.database, self.name, handlers, failed_share_max=share_max)
        turns: dict[str, tuple[Callable[[], Awaitable[Any]], float]] = {
            "parked": (parked.turn, _TURN_S),
            "retention": (lambda: sweep_inbox(self.database), _SWEEP_S),
        }
        if self.timers:
            turns["timers"] = (Timers(self.database, self.name, self.timers).turn, _TURN_S)
        return [
            asyncio.create_task(self._turn_for_ever(name, turn, every_s), name=name) for name, (turn, every_s) in turns.items()
        ]

    async def _turn_for_ever(self, name: str, turn: Callable[[], Awaitable[Any]], every_s: float) -> None:
        """Call `turn` every `every_s`; a failure is told, shows in readiness, and is tried again with back-off."""
        pause_s = _RETRY_FIRST_S
        while True:
            self.health.beat(name)
            try:
                await turn()
            except Exception as error:  # noqa: BLE001 - rows stay where they are; the next turn takes them up again
                self._note_retry(name, f"{type(error).__name__}: {error}"[:300])
                if fault_of(error) is not Fault.TRANSIENT:
                    await logger.aerror("turn_failed", loop=name, exc_info=error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_MAX_S)
            else:
                self._note_retry(name, None)
                pause_s = _RETRY_FIRST_S
                await asyncio.sleep(every_s)

    def _note_retry(self, loop: str, reason: str | None) -> None:
        if reason is None:
            self._retrying.pop(loop, None)
        else:
            self._retrying[loop] = reason

    async def _open_database(self) -> Database:
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await Database.connect(
                    self.settings.service_dsn(self.name),
                    service=self.name,
                    topic_prefix=self.settings.topic_prefix,
                    connections_max=self.settings.database_connections_max,
                )
            except Exception as error:
                waited_s = asyncio.get_running_loop().time() - began
                if fault_of(error) is not Fault.TRANSIENT or waited_s > _START_PATIENCE_S:
                    raise
                await logger.awarning("database_awaited", error=repr(error))
                await asyncio.sleep(1)

    async def _close_database(self) -> None:
        try:
            await asyncio.wait_for(self.database.close(), _GOODBYE_S)
        except TimeoutError:
            self.database.pool.terminate()

    async def _database_need(self) -> str | None:
        try:
            await asyncio.wait_for(self.database.pool.fetchval("SELECT 1"), 2)
        except Exception as error:  # noqa: BLE001 - the answer is the error
            return f"database does not answer: {type(error).__name__}: {error}"[:300]
        return None

    async def _broker_need(self) -> str | None:
        waiting = [subscription.full_topic for subscription in self._subscriptions.values() if not subscription.started]
        if waiting:
            return f"not reading yet, broker or topic not found: {', '.join(sorted(waiting))}"
        for topic, subscription in self._subscriptions.items():
            try:
                await asyncio.wait_for(subscription.end_offsets(topic, [0]), 2)
            except Exception as error:  # noqa: BLE001 - the answer is the error
                return f"broker does not answer: {type(error).__name__}: {error}"[:300]
            return None
        return None

    async def _backlog_need(self) -> str | None:
        if self._retrying:
            return "; ".join(f"{loop} is being tried again: {reason}" for loop, reason in sorted(self._retrying.items()))[:600]
        if self._relay is not None and self._relay.backlog > self.settings.outbox_backlog_max:
            return f"{self._relay.backlog} events wait to be relayed"
        return None

    def _listen(self) -> socket.socket:
        """Bind the HTTP port; raises `SettingsError` if it cannot be had."""
        try:
            return socket.create_server((self.settings.http_host, self.http_port), backlog=128)
        except OSError as error:
            message = f"{self.name}: cannot listen on {self.settings.http_host}:{self.http_port}: {error.strerror}"
            raise SettingsError(message) from error

    async def _serve_http(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            application(self.name, self.health, self.routes),
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=200,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16 * 1024,
            server_header=False,
        )
        self._http = uvicorn.Server(config)
        # Signals are the service's: uvicorn would take them for itself.
        self._http.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
        await self._http.serve(sockets=[listener])

    async def _end(self, broker: KafkaBroker, running: list["asyncio.Task[None]"]) -> None:
        """Finish the batches at hand, relay what they emitted, and leave the groups."""
        await logger.ainfo("service_stopping")
        try:
            await asyncio.wait_for(self._drain(broker), self.settings.drain_timeout_s)
        except Exception as error:  # noqa: BLE001 - whatever was not finished is rolled back, and done after the next start
            await logger.awarning("drain_cut_short", error=repr(error))
        for subscriber in broker.subscribers:
            for task in getattr(subscriber, "tasks", ()):
                task.cancel()
        for subscription in self._subscriptions.values():
            subscription.abandon()
        await self._stop_http(running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with suppress(Exception):
            await asyncio.wait_for(broker.stop(), _GOODBYE_S)
        await logger.ainfo("service_stopped")

    async def _stop_http(self, running: list["asyncio.Task[None]"]) -> None:
        if self._http is None:
            return
        self._http.should_exit = True
        await asyncio.wait([task for task in running if task.get_name() == "http"], timeout=_GOODBYE_S)

    async def _drain(self, broker: KafkaBroker) -> None:
        await asyncio.gather(*(subscription.drain() for subscription in self._subscriptions.values()))
        await broker.stop()
        if self._relay is not None:
            await self._relay.settle(self.database)


def _let_go_of_signals(loop: asyncio.AbstractEventLoop) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)


async def _as_coroutine(task: Task, service: Service) -> None:
    await task(service)
