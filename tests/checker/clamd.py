"""A server that speaks clamd's protocol as its manual has it, and finds what it is told to; for what a real one seldom does."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "ClamAV 1.4.3/27567/Wed Mar  5 09:36:49 2025"


@dataclass
class FakeClamd:
    """`finds` is bytes → signature; `most` the longest stream; `fault` is what it does wrong."""

    finds: dict[bytes, str] = field(default_factory=dict)
    most: int = 1 << 20
    fault: str | None = None
    version: str = VERSION
    streams: list[bytes] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = 0
        try:
            if self.fault == "is silent":
                await reader.read()
            while command := (await reader.readuntil(b"\0"))[:-1]:
                self.commands.append(command)
                number += 1
                if command == b"zVERSION":
                    writer.write(self.version.encode() + b"\0")
                    await writer.drain()
                    return
                if command == b"zINSTREAM" and not await self._stream(number, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open.discard(writer)

    async def _stream(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        content = b""
        if self.fault == "closes":
            return False
        while length := struct.unpack(">I", await reader.readexactly(4))[0]:
            content += await reader.readexactly(length)
            if len(content) > self.most:
                writer.write(f"{number}: INSTREAM size limit exceeded. ERROR\0".encode())
                await writer.drain()
                await reader.read()
                return False
        self.streams.append(content)
        if self.fault == "hangs":
            await reader.read()
            return False
        said = {"error": "Can't allocate memory ERROR", "nonsense": "hello\x1b[31m", "endless": "x" * 200_000}
        signature = next((name for what, name in self.finds.items() if what in content), None)
        answer = said.get(self.fault or "", "OK" if signature is None else f"{signature} FOUND")
        writer.write(f"{number}: stream: {answer}\0".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def listening(fake: FakeClamd, socket: Path) -> AsyncIterator[str]:
    """Run `fake` at a unix socket; yields its address."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():
            writer.close()  # accepted as the end came
            return
        fake.open.add(writer)
        task = asyncio.ensure_future(fake.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(connected, socket)
    try:
        yield f"unix:{socket}"
    finally:
        server.close()
        async with asyncio.timeout(10):
            while fake.open:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)
