"""Ways to reach a service without a broker or a socket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from starlette.routing import BaseRoute

from shared.database.pool import Database
from shared.health import Health
from shared.http.application import application
from shared.messaging.handlers import BatchHandler
from shared.messaging.parked import ParkedRequests
from shared.messaging.processor import Processor
from shared.messaging.records import Record
from tests.catalog.states import PARTITION


@dataclass
class Reader:
    """A consumer without a broker: records go straight to the processor, in one partition, offsets and all."""

    database: Database
    topic: str
    handler: BatchHandler
    ends: dict[str, int] = field(default_factory=dict)
    """Where each topic ends, as far as parking is concerned: in every partition."""
    position: int = 0

    async def feed(self, *records: Record) -> None:
        """Process `records` as one batch."""
        if self.position == 0:
            await self.database.pool.execute(
                "INSERT INTO consumer_offsets VALUES ($1, $2, 0) ON CONFLICT DO NOTHING", self.topic, PARTITION
            )
        moved = await Processor(
            database=self.database, service="tested", topic=self.topic, handler=self.handler, end_offsets=self._ends
        ).process(records, {PARTITION: self.position})
        self.position = moved[PARTITION]

    async def unpark(self) -> int:
        """Take up every parked request whose waiting is over, the two seconds counted as gone."""
        await self.database.pool.execute("UPDATE parked_requests SET not_before = now()")
        return await ParkedRequests(self.database, "tested", {self.topic: self.handler}).turn()  # type: ignore[dict-item]

    async def _ends(self, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        return dict.fromkeys(partitions, self.ends.get(topic, 0))


@dataclass(frozen=True)
class Answer:
    """What HTTP answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Http:
    """The service's HTTP application, called without a socket."""

    def __init__(self, service: str, routes: Sequence[BaseRoute]) -> None:
        self._application = application(service, Health(stalled_after_s=60), routes)

    async def get(self, path: str, parameters: Mapping[str, object] | str | None = None) -> Answer:
        """Answer GET of `path`, given unquoted, with parameters or a raw query string."""
        query = parameters if isinstance(parameters, str) else urlencode(parameters or {})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._application(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))
