"""An authority made for the session, servers it vouches for, a spool."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.answers import FetchLimits
from services.checker.adapters.sources.base import Opened, Source, Wanted
from services.checker.adapters.sources.opening import FileSource, open_image
from services.checker.adapters.sources.spool import Spool
from tests.checker.sources.server import ObjectServer

CONTENT = bytes(range(256)) * 20 + bytes(3000) + b"the end"
LIMITS = FetchLimits(part_bytes=1000, connections=3, tries=3, pause_s=0.001, pause_max_s=0.01)
HASTY = FetchLimits(
    part_bytes=1000, connections=2, tries=2, pause_s=0.001, head_timeout_s=0.3, stalled_after_s=0.2, least_bytes=100
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its file, and what a server named `images.test` or `cdn.test` or `localhost` shows."""

    file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("images.test", "cdn.test", "localhost").configure_cert(context)
    return Authority(file, context)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., object]]:
    """A function that starts a server of some content."""
    async with AsyncExitStack() as stack:

        async def start(content: bytes = CONTENT, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> ObjectServer:
            return await stack.enter_async_context(ObjectServer(content).running(tls, address))

        yield start


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    """A spool that must be empty in the end."""
    spool = Spool(folder, image_bytes_max=1 << 20, bytes_max=1 << 21)
    yield spool
    assert spool._used_bytes == 0
    assert list(folder.iterdir()) == []


@dataclass(slots=True)
class Client:
    """Opens locations of one source, and remembers what it was told of progress."""

    source: Source
    scheme: str
    told: list[tuple[str, int, int]] = field(default_factory=list)

    async def open(self, location: str, version: str, **given: float) -> Opened:
        wanted = Wanted(location, version, on_progress=lambda *told: self.told.append(told), **given)
        return await open_image({"file": FileSource([]), self.scheme: self.source}, wanted)

    async def refused(self, location: str, version: str, **given: float) -> LocationRefused:
        with pytest.raises(LocationRefused) as refused:
            (await self.open(location, version, **given)).close()
        return refused.value
