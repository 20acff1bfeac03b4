"""From the inspector's pipes to clamd: the confined inspector may hold no socket, and clamd must hear nothing else from it.

What comes out of a pipe was written by a process that read hostile bytes: frames are bounded, and one that makes no sense ends
it. The frames are those of the inspector's `malware/stream.py`.
"""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from services.checker.adapters.clamd import ClamdAddress, ClamdError, ClamdSession, TooLargeForClamd

_PATH_BYTES_MAX: Final = 8192
_CHUNK_BYTES_MAX: Final = 1 << 20
_GIVEN_UP: Final = 2**32 - 1
_KEPT_MAX: Final = 64
_FINISH_S: Final = 200.0


@dataclass(slots=True)
class ClamdFound:
    """What clamd found: (path, signature); `notes` are (path, why it was not scanned), `problem` is why not all could be."""

    hits: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    problem: str | None = None


class ClamdRelay:
    """Pipes whose contents go to clamd, each on a connection of its own. `descriptors` are the ends for the inspector."""

    def __init__(self, address: ClamdAddress, pipes: int) -> None:
        self._address = address
        self._ours: list[int] = []
        self.descriptors: list[int] = []
        for _ in range(pipes):
            reads, writes = os.pipe()
            self._ours.append(reads)
            self.descriptors.append(writes)
        self._tasks: list[asyncio.Task[None]] = []
        self._found = ClamdFound()

    def started(self) -> None:
        """Take note that the inspector has its ends: they are closed here, and relaying begins."""
        self._close_theirs()
        self._tasks = [asyncio.create_task(self._relay(self._ours.pop())) for _ in range(len(self._ours))]

    async def finish(self) -> ClamdFound:
        """Return what was found, once the inspector has ended."""
        if not self._tasks:
            self._found.problem = "the inspector was not started"
        done, late = await asyncio.wait(self._tasks, timeout=_FINISH_S) if self._tasks else (set(), set())
        for task in late:
            task.cancel()
            self._problem("clamd did not finish in time")
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._problem(repr(error)[:300])
        return self._found

    async def close(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_theirs()
        while self._ours:
            os.close(self._ours.pop())

    def _close_theirs(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _problem(self, why: str) -> None:
        self._found.problem = self._found.problem or why

    async def _relay(self, descriptor: int) -> None:
        async with _opened(descriptor) as pipe:
            session = _Session(self._address)
            try:
                while await self._frame(pipe, session):
                    pass
            except (asyncio.IncompleteReadError, ValueError) as error:
                ended = isinstance(error, asyncio.IncompleteReadError)
                self._problem("the inspector ended before it had given all files to clamd" if ended else f"the stream: {error}")
            finally:
                session.close()

    async def _frame(self, pipe: asyncio.StreamReader, session: "_Session") -> bool:
        """Take one frame; returns whether another follows."""
        kind = await pipe.readexactly(1)
        if kind == b"E":
            return False
        if kind not in {b"F", b"S"}:
            message = "a frame that makes no sense"
            raise ValueError(message)
        path = (await pipe.readexactly(_bounded(await pipe.readexactly(4), _PATH_BYTES_MAX))).decode(errors="backslashreplace")
        path = "".join(one if one.isprintable() else "?" for one in path)[:1000]
        if kind == b"S":
            self._note(path, "too large to be given to clamd")
            return True
        await session.begin()
        while (length := await pipe.readexactly(4)) not in {struct.pack(">I", 0), struct.pack(">I", _GIVEN_UP)}:
            await session.chunk(await pipe.readexactly(_bounded(length, _CHUNK_BYTES_MAX)))
        self._found.files += 1
        signature = await session.end()
        if session.too_large:
            self._note(path, "larger than clamd takes (StreamMaxLength)")
        elif session.problem is not None:
            self._problem(f"{path}: {session.problem}" if session.is_of_the_file else session.problem)
        elif signature is not None and len(self._found.hits) < _KEPT_MAX:
            self._found.hits.append((path, signature))
        return True

    def _note(self, path: str, text: str) -> None:
        if len(self._found.notes) < _KEPT_MAX:
            self._found.notes.append((path, text))


class _Session:
    """A session that is opened when first needed and anew after a stream that was too large; after a problem the rest is dropped.

    The pipe is read on all the same, so that the inspector's own search is not held up.
    """

    def __init__(self, address: ClamdAddress) -> None:
        self._address = address
        self._session: ClamdSession | None = None
        self.problem: str | None = None
        self.too_large = False

    @property
    def is_of_the_file(self) -> bool:
        """Whether the problem came up while a file was being scanned."""
        return self.problem is not None and self.problem.startswith("clamd says")

    async def begin(self) -> None:
        self.too_large = False
        if self.problem is not None:
            return
        try:
            if self._session is None:
                self._session = await ClamdSession.open(self._address)
            await self._session.begin()
        except ClamdError as error:
            self._ended(error)

    async def chunk(self, data: bytes) -> None:
        if self._session is None:
            return
        try:
            await self._session.chunk(data)
        except ClamdError as error:
            self._ended(error)

    async def end(self) -> str | None:
        if self._session is None:
            return None
        try:
            return await self._session.end()
        except ClamdError as error:
            self._ended(error)
            return None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ended(self, error: ClamdError) -> None:
        self.close()
        self.too_large = isinstance(error, TooLargeForClamd)
        if not self.too_large:
            self.problem = str(error)


def _bounded(field_: bytes, most: int) -> int:
    (length,) = struct.unpack(">I", field_)
    if length > most:
        message = f"a length of {length}, {most} are allowed"
        raise ValueError(message)
    return int(length)


@asynccontextmanager
async def _opened(descriptor: int) -> AsyncIterator[asyncio.StreamReader]:
    reader = asyncio.StreamReader(limit=2 * _CHUNK_BYTES_MAX)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        yield reader
    finally:
        transport.close()
