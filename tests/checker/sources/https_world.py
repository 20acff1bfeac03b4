"""An https host whose name means what a test says, and who fetches from it."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from services.checker.adapters.sources.answers import FetchLimits
from services.checker.adapters.sources.base import Opened
from services.checker.adapters.sources.configured import HttpsSources
from services.checker.adapters.sources.https import HttpsSource
from services.checker.adapters.sources.spool import Spool
from tests.checker.sources.conftest import CONTENT, LIMITS, Authority, Client
from tests.checker.sources.server import ObjectServer, Reply, Twist

Serve = Callable[..., Awaitable[ObjectServer]]


def all_of(opened: Opened) -> bytes:
    """Read it, and close it."""
    try:
        return os.pread(opened.descriptor, len(CONTENT) + 1, 0)
    finally:
        opened.close()


@dataclass(slots=True)
class World:
    """A server at `images.test`, whose name means what `names` says."""

    server: ObjectServer
    authority: Authority
    spool: Spool
    names: dict[str, list[str]] = field(default_factory=lambda: {"images.test": ["127.0.0.1"], "cdn.test": ["127.0.0.1"]})
    resolved: list[str] = field(default_factory=list)

    async def resolve(self, host: str, _port: int) -> list[str]:
        self.resolved.append(host)
        return self.names[host]

    def client(self, limits: FetchLimits = LIMITS, **configured: object) -> Client:
        given = {
            "hosts": (f"images.test:{self.server.port}", f"cdn.test:{self.server.port}"),
            "networks": ("127.0.0.0/8",),
            "ca_file": self.authority.file,
            **configured,
        }
        source = HttpsSource(HttpsSources.model_validate(given), self.spool, limits, self.resolve)
        return Client(source, "https")

    def url(self, path: str = "/one.img", host: str = "images.test") -> str:
        return f"https://{host}:{self.server.port}{path}"

    async def refused(self, limits: FetchLimits = LIMITS) -> str:
        """Why the one image there is, is refused."""
        return str(await self.client(limits).refused(self.url(), self.server.etag))


def once(*replies: Reply) -> Twist:
    """These first, then as usual."""
    left = list(replies)
    return lambda _request, reply: left.pop(0) if left else reply
