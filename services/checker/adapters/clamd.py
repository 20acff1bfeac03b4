"""A client of clamd's protocol: streams of bytes in, the names of signatures out. Source: clamd(8), clamd.conf(5).

Only INSTREAM and VERSION are ever sent: clamd would also read files of its own, reload, or shut down for whoever may write to it.
"""

import asyncio
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from shared.contracts.report import ScanDatabase

CONNECT_S: Final = 5.0
REPLY_S: Final = 150.0
"""Longer than clamd takes for one stream by default (MaxScanTime, two minutes)."""
_REPLY_BYTES_MAX: Final = 4096
_VERSION: Final = re.compile(r"ClamAV (?P<engine>[^/]{1,40})(?:/(?P<number>\d{1,12})(?:/(?P<date>[^/]{1,40}))?)?")
_REPLY: Final = re.compile(r"(?:\d+: )?(?:stream: )?(?P<text>.*)", re.DOTALL)
_TOO_LARGE: Final = "size limit exceeded"


class ClamdError(Exception):
    """clamd cannot be reached, or does not do what it was asked."""


class TooLargeForClamd(ClamdError):
    """The stream was longer than clamd takes (StreamMaxLength); the session has ended."""


@dataclass(frozen=True, slots=True)
class ClamdAddress:
    """Where clamd listens: a unix socket, or host and port."""

    path: str | None = None
    host: str | None = None
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `unix:/run/clamav/clamd.ctl` or `tcp:host:3310`; raises `ValueError` for anything else."""
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest.startswith("/"):
            return cls(path=rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isdigit() and 0 < int(port) < 65536:  # noqa: PLR2004 - ports have 16 bits
            return cls(host=host.strip("[]"), port=int(port))
        message = f"{text!r} is no address of clamd: unix:/path/of/its/socket or tcp:host:port"
        raise ValueError(message)

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path is not None else f"tcp:{self.host}:{self.port}"


class ClamdSession:
    """One connection on which one stream after the other is scanned."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._answer: asyncio.Task[str] | None = None

    @classmethod
    async def open(cls, address: ClamdAddress) -> Self:
        """Connect and begin a session; raises `ClamdError`."""
        session = cls(*await _connect(address))
        try:
            await session._send(b"zIDSESSION\0")
        except BaseException:
            session.close()
            raise
        return session

    async def begin(self) -> None:
        """Begin a stream."""
        await self._send(b"zINSTREAM\0")
        # Listened to from the start: what it takes no more of it says before the end, and then closes the connection.
        self._answer = asyncio.create_task(_reply(self._reader, None))

    async def chunk(self, data: bytes) -> None:
        """Send a piece of the stream, not empty; raises `TooLargeForClamd` or `ClamdError`."""
        if self._answer is not None and self._answer.done():
            _found(self._answer.result())
            message = "clamd answered before the stream had ended"
            raise ClamdError(message)
        await self._send(struct.pack(">I", len(data)) + data)

    async def end(self) -> str | None:
        """End the stream; returns the signature that was found in it, None for none."""
        await self._send(struct.pack(">I", 0))
        return _found(await self._answered(REPLY_S))

    def close(self) -> None:
        """Let go of the connection."""
        if self._answer is not None:
            self._answer.cancel()
        self._writer.close()

    async def _answered(self, timeout_s: float) -> str:
        """Return the answer to the stream; raises `ClamdError`."""
        if self._answer is None:
            message = "clamd was not asked"
            raise ClamdError(message)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except TimeoutError as error:
            message = f"clamd gave no answer within {timeout_s:.0f} s"
            raise ClamdError(message) from error

    async def _send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            async with asyncio.timeout(REPLY_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            # It may have said why before it closed the connection.
            if self._answer is not None and not isinstance(error, TimeoutError):
                _found(await self._answered(1.0))
            message = f"clamd takes no more: {error or 'it is too slow'}"
            raise ClamdError(message) from error


async def clamd_database(address: ClamdAddress) -> ScanDatabase:
    """Return what clamd says of itself: its version, its database's number and date; raises `ClamdError`."""
    reader, writer = await _connect(address)
    try:
        writer.write(b"zVERSION\0")
        said = await _reply(reader, REPLY_S)
    finally:
        writer.close()
    found = _VERSION.fullmatch(said)
    if found is None:
        message = f"that is no ClamAV: {_shown(said)!r}"
        raise ClamdError(message)
    version = found["engine"] + (f"/{found['number']}" if found["number"] else "")
    return ScanDatabase(name="clamd", version=version, date=_date(found["date"]), purpose="malware")


async def _connect(address: ClamdAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_S):
            if address.path is not None:
                return await asyncio.open_unix_connection(address.path)
            return await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or str(error) or f"no answer within {CONNECT_S:.0f} s"
        message = f"clamd at {address} cannot be reached: {why}"
        raise ClamdError(message) from error


async def _reply(reader: asyncio.StreamReader, timeout_s: float | None) -> str:
    """Return the next reply, up to the NUL that ends it; raises `ClamdError`."""
    try:
        async with asyncio.timeout(timeout_s):
            data = await reader.readuntil(b"\0")
    except TimeoutError as error:
        message = f"clamd gave no answer within {timeout_s} s"
        raise ClamdError(message) from error
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        message = "clamd closed the connection, or said what makes no sense"
        raise ClamdError(message) from error
    return data[:-1][:_REPLY_BYTES_MAX].decode(errors="backslashreplace").strip()


def _found(reply: str) -> str | None:
    found = _REPLY.fullmatch(reply)
    text = found["text"] if found else reply
    if text == "OK":
        return None
    if text.endswith(" FOUND"):
        return _shown(text.removesuffix(" FOUND"))
    if _TOO_LARGE in text:
        raise TooLargeForClamd(_shown(text))
    message = f"clamd says: {_shown(text)}"
    raise ClamdError(message)


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)[:200]


def _date(text: str | None) -> str:
    """Return a date of asctime(3) as ISO 8601; what is no date is unknown."""
    try:
        return datetime.strptime(" ".join((text or "").split()), "%a %b %d %H:%M:%S %Y").date().isoformat()  # noqa: DTZ007 - its day
    except ValueError:
        return "unknown"
