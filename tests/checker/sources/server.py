"""A server of one object over TLS or without, that behaves until it is told otherwise."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked; header names in lower case."""

    target: str
    headers: dict[str, str]

    @property
    def span(self) -> tuple[int, int] | None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        return None if found is None else (int(found[1]), int(found[2]))


@dataclass(slots=True)
class Reply:
    """What is answered. `cut`: the connection ends after so many bytes of the body; `…_pause_s`: after each byte of it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    head_pause_s: float = 0
    body_pause_s: float = 0
    endless: bool = False

    def with_headers(self, **headers: str | None) -> "Reply":
        """This reply with other headers; None leaves one out."""
        for name, value in headers.items():
            title = name.replace("_", "-")
            self.headers.pop(title, None)
            if value is not None:
                self.headers[title] = value
        return self


Twist = Callable[[Request, Reply], Reply]


class ObjectServer:
    """Serves `content`; `twist` changes what it would answer."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests: list[Request] = []
        self.twist: Twist = lambda _request, reply: reply
        self.address, self.port = "127.0.0.1", 0

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'

    def asked(self) -> list[tuple[int, int] | None]:
        """The ranges that were asked for."""
        return [request.span for request in self.requests]

    def _usual(self, request: Request) -> Reply:
        headers = {"etag": self.etag, "content-length": str(len(self.content))}
        if request.headers.get("if-match", self.etag) != self.etag:
            return Reply(412, {"content-length": "0"})
        if request.span is None:
            return Reply(200, headers, self.content)
        first, last = request.span
        if first >= len(self.content):
            return Reply(416, {"content-range": f"bytes */{len(self.content)}", "content-length": "0"})
        body = self.content[first : last + 1]
        stated = f"bytes {first}-{first + len(body) - 1}/{len(self.content)}"
        return Reply(206, {**headers, "content-range": stated, "content-length": str(len(body))}, body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._send(writer, self._answer(await reader.readuntil(b"\r\n\r\n"))):
                    pass
        finally:
            writer.close()
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            await writer.wait_closed()

    def _answer(self, head: bytes) -> Reply:
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines if line]
        request = Request(first.split(" ")[1], {name.lower(): value.strip() for name, _, value in pairs})
        self.requests.append(request)
        return self.twist(request, self._usual(request))

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> bool:
        head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        await _say(writer, f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode("latin-1"), reply.head_pause_s)
        body = reply.body if reply.cut is None else reply.body[: reply.cut]
        await _say(writer, body, reply.body_pause_s)
        while reply.endless:
            await _say(writer, b"4000\r\n" + bytes(0x4000) + b"\r\n", 0)
        return reply.cut is None

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None, address: str = "127.0.0.1") -> AsyncIterator["ObjectServer"]:
        """Serve at `address` until the end."""
        tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not server.is_serving():
                writer.close()  # accepted as the end came
                return
            task = asyncio.ensure_future(self._serve(reader, writer))
            tasks[task] = writer
            task.add_done_callback(tasks.pop)

        server = await asyncio.start_server(connected, address, 0, ssl=tls)
        self.address, self.port = server.sockets[0].getsockname()[:2]
        try:
            yield self
        finally:
            server.close()
            ending = dict(tasks)
            for task, writer in ending.items():
                task.cancel()
                writer.close()  # one that was cancelled before it began closes nothing
            await asyncio.gather(*ending, return_exceptions=True)


async def _say(writer: asyncio.StreamWriter, text: bytes, pause_s: float) -> None:
    if pause_s:
        for position in range(len(text)):
            writer.write(text[position : position + 1])
            await writer.drain()
            await asyncio.sleep(pause_s)
    else:
        writer.write(text)
        await writer.drain()
