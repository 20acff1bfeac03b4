"""One request to one server, and what is taken for an answer to it.

Source: RFC 9110 (13.1.1 If-Match, 14 Range Requests, 10.2.3 Retry-After). An answer is a stranger's word: it must keep to the
range, the length and the entity tag that were asked for, uncoded; it may neither be longer nor stand still.
"""

import asyncio
import os
import random
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol, TypeVar

import httpcore

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.base import ContentChanged
from shared.telemetry.logs import get_logger

STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]{0,250}"')
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_LENGTH: Final = re.compile(r"\d{1,19}")
_BLOCK_BYTES: Final = 1 << 20
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
OK, PARTIAL, _CHANGED, _EMPTY = 200, 206, 412, 416
OTHER_CONTENT: Final = "the content at the location is not the one that was asked for"
EMPTY: Final = "the image is empty"
CERTIFICATE: Final = "the server's certificate is not one that the checker trusts"
NO_LENGTH: Final = "the server does not say how long the content is (Content-Length, Content-Range)"
OTHER_RANGE: Final = "the server answers with another range than it was asked for"
_STALLED: Final = "it takes too long to answer"
Result = TypeVar("Result")

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How an object is fetched and how long is waited: parts side by side, each tried so often, with growing pauses."""

    part_bytes: int = 16 << 20
    connections: int = 6
    tries: int = 5
    pause_s: float = 0.5
    pause_max_s: float = 30
    """The longest pause before another try, also where a server asks for more."""
    head_timeout_s: float = 20
    """From a request to the end of its answer's head, connecting and redirections counted."""
    stalled_after_s: float = 20
    """A window of time in which `least_bytes` must have come."""
    least_bytes: int = 64 << 10


USUAL: Final = FetchLimits()


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its head, names in lower case, and its body as it comes."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Origin(Protocol):
    """One object on one server."""

    def get(self, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Answer]:
        """Ask for the object; raises `LocationRefused` where it must not be asked for."""
        ...

    async def refusal(self, answer: Answer) -> LocationRefused:
        """Return for the vendor what an answer that is none means, and what to do."""
        ...


class CertificateRefused(LocationRefused):
    """Who answers cannot show to be the server that was asked."""


class Passing(Exception):
    """It did not work, but may the next time, after `pause_s` at least; `detail` is the system's word for it."""

    def __init__(self, why: str, pause_s: float = 0, *, detail: str = "") -> None:
        super().__init__(why)
        self.pause_s, self.detail = pause_s, detail


async def tried(act: Callable[[], Awaitable[Result]], limits: FetchLimits) -> Result:
    """Return what `act` does, tried again when it raises `Passing`; at last raises `LocationRefused`."""
    pause_s = limits.pause_s
    for number in range(1, limits.tries + 1):
        try:
            return await act()
        except Passing as error:
            if number == limits.tries:
                message = f"{error}, {number} times"
                raise LocationRefused(message, "try again later", detail=error.detail) from None
            await logger.ainfo("fetch_retried", why=str(error), tries=number)
            # Not all parts at the same moment: what is overloaded would be so again.
            wait_s = max(error.pause_s, pause_s * random.uniform(0.5, 1))  # noqa: S311 - no secret
            await asyncio.sleep(min(wait_s, limits.pause_max_s))
            pause_s *= 2
    raise AssertionError


@asynccontextmanager
async def asked(origin: Origin, etag: str | None, span: tuple[int, int] | None, limits: FetchLimits) -> AsyncIterator[Answer]:
    """Yield the answer to a request for the bytes from the first to the last of `span`, of the content that `etag` names.

    Its status is 200 or 206. Raises `Passing`, `ContentChanged`, `LocationRefused`.
    """
    headers = {"Accept-Encoding": "identity"}
    headers |= {} if etag is None else {"If-Match": etag}
    headers |= {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
    try:
        async with asyncio.timeout(limits.head_timeout_s) as limit, origin.get(headers) as answer:
            if answer.status not in (OK, PARTIAL):
                await _refuse(origin, answer, span)
            _judge(answer, etag, span)
            limit.reschedule(None)
            yield answer
    except TimeoutError:
        raise Passing(_STALLED) from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError) as error:
        causes = tuple(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise CertificateRefused(CERTIFICATE, detail=cause.verify_message) from None
        raise Passing(_why(error), detail=next(filter(None, map(_said, causes)), "")) from None


async def _refuse(origin: Origin, answer: Answer, span: tuple[int, int] | None) -> None:
    if answer.status == _CHANGED:
        raise ContentChanged(OTHER_CONTENT)
    if answer.status == _EMPTY and span == (0, 0):
        raise LocationRefused(EMPTY)
    if answer.status in _PASSING:
        message = f"the server answers with status {answer.status}"
        raise Passing(message, _pause_of(answer.headers.get("retry-after", "")))
    raise await origin.refusal(answer)


def _judge(answer: Answer, etag: str | None, span: tuple[int, int] | None) -> None:
    """Raise if the answer is not of the content asked for, or not as it is stored."""
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        message = "the server sends the content encoded (Content-Encoding): it must send it as it is"
        raise LocationRefused(message)
    if etag is not None and answer.headers.get("etag") != etag:
        if STRONG_TAG.fullmatch(answer.headers.get("etag", "")) is None:
            message = "the server names no strong entity tag (ETag) with its content: state the content's sha256:… as its version"
            raise LocationRefused(message)
        raise ContentChanged(OTHER_CONTENT)
    if answer.status == PARTIAL and (span is None or range_of(answer)[:2] != span):
        raise LocationRefused(OTHER_RANGE)


def range_of(answer: Answer) -> tuple[int, int, int]:
    """Return first, last and total of `answer`'s Content-Range; raises `LocationRefused`."""
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
    if found is None:
        raise LocationRefused(NO_LENGTH)
    return int(found[1]), int(found[2]), int(found[3])


def length_of(answer: Answer) -> int | None:
    """Return `answer`'s Content-Length, None if it has none that is a number."""
    found = _LENGTH.fullmatch(answer.headers.get("content-length", ""))
    return None if found is None else int(found[0])


async def blocks(answer: Answer, size_bytes: int, limits: FetchLimits) -> AsyncIterator[bytes]:
    """Yield the body in blocks, `size_bytes` in all; raises `LocationRefused` if it has more, `Passing` if less or too slow."""
    stated = length_of(answer)
    if stated not in (None, size_bytes):
        message = f"the server announces {stated} bytes where {size_bytes} were asked for"
        raise LocationRefused(message)
    block, got, since, came = bytearray(), 0, time.monotonic(), 0
    while True:
        async with asyncio.timeout(limits.stalled_after_s):
            piece = await anext(answer.body, b"")
        if not piece:
            break
        got, came = got + len(piece), came + len(piece)
        if got > size_bytes:
            message = f"the server sends more than the {size_bytes} bytes that it was asked for"
            raise LocationRefused(message)
        if (now := time.monotonic()) - since > limits.stalled_after_s:
            if came < limits.least_bytes:
                raise Passing(_STALLED)
            since, came = now, 0
        block += piece
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
    if got < size_bytes:
        message = "the server ends its answer too early"
        raise Passing(message)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _why(error: Exception) -> str:
    if isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout)):
        return "the server cannot be reached"
    return "the server breaks off, or does not speak HTTP"


def _said(error: BaseException) -> str:
    """Return the system's word for `error`, if it is one of its."""
    if not isinstance(error, OSError) or error.errno is None:
        return ""
    # These number their errors in their own way; asyncio puts words of its own into the others.
    own = isinstance(error, (socket.gaierror, ssl.SSLError))
    return str(error.strerror) if own else os.strerror(error.errno)


def _pause_of(retry_after: str) -> float:
    """Return the seconds that a Retry-After asks for, in either of its forms; 0 if it makes no sense."""
    with suppress(ValueError, OverflowError):
        if _LENGTH.fullmatch(retry_after):
            return float(retry_after)
        until = parsedate_to_datetime(retry_after[:64])
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return 0.0
