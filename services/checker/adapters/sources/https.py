"""`https://host[:port]/path[?query]`: files on the hosts that the operator names, redirections among them alone.

Source: RFC 9110 (15.4 Redirection).
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.answers import USUAL, Answer, FetchLimits, Origin
from services.checker.adapters.sources.base import Opened, Wanted, is_digest
from services.checker.adapters.sources.configured import HttpsSources
from services.checker.adapters.sources.network import TIMEOUTS, CheckedNetwork, Resolve, pool, resolve, trusting
from services.checker.adapters.sources.ranges import Found, fetch, quoted
from services.checker.adapters.sources.spool import Spool

_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTIONS_MAX: Final = 5
_PORT: Final = 443
_URL: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_MEANINGS: Final = {
    401: ("it asks for credentials", "the checker has none for it"),
    403: ("it does not let the checker read the file", "allow it to be read without credentials"),
    404: ("there is no such file", "name a location that is there"),
    410: ("the file is gone", "name a location that is there"),
}


class HostRefused(LocationRefused):
    """Nobody allowed images from this host; `detail` names it."""


class HttpsSource:
    """Fetches from the hosts of `configured`."""

    def __init__(self, configured: HttpsSources, spool: Spool, limits: FetchLimits = USUAL, resolve: Resolve = resolve) -> None:
        self._configured, self._spool, self._limits = configured, spool, limits
        self._tls = trusting(configured.ca_file)
        self._network = CheckedNetwork(configured.networks, resolve)

    async def open(self, wanted: Wanted) -> Opened:
        """Fetch the file; raises `LocationRefused`."""
        url = _allowed(wanted.location, self._configured)
        by_digest = is_digest(wanted.content_version)
        etag = None if by_digest or wanted.content_version is None else quoted(wanted.content_version)

        def version_of(_: Found) -> str | None:
            return None if by_digest else wanted.content_version

        @asynccontextmanager
        async def connect() -> AsyncIterator[Origin]:
            async with pool(self._tls, self._network, self._limits.connections) as connections:
                yield _HttpsOrigin(url, connections, self._configured)

        return await fetch(connect, wanted, etag=etag, version_of=version_of, spool=self._spool, limits=self._limits)


class _HttpsOrigin:
    def __init__(self, url: httpcore.URL, connections: httpcore.AsyncConnectionPool, configured: HttpsSources) -> None:
        self._url, self._connections, self._configured = url, connections, configured

    @asynccontextmanager
    async def get(self, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Ask, and ask where the answer leads, as long as it leads to allowed hosts."""
        url = self._url
        for _ in range(_REDIRECTIONS_MAX + 1):
            async with self._connections.stream("GET", url, headers=list(headers.items()), extensions=TIMEOUTS) as response:
                answer = answer_of(response)
                if answer.status not in _REDIRECTIONS:
                    yield answer
                    return
                to = urljoin(bytes(url).decode("ascii"), answer.headers.get("location", ""))
                url = _allowed(to, self._configured, led=True)
        message = f"the server leads on more than {_REDIRECTIONS_MAX} times"
        raise LocationRefused(message)

    async def refusal(self, answer: Answer) -> LocationRefused:
        """Return what the status means."""
        message = f"the server answers with status {answer.status}"
        if answer.status not in _MEANINGS:
            return LocationRefused(message, "look there for the reason")
        meaning, advice = _MEANINGS[answer.status]
        return LocationRefused(f"{message}: {meaning}", advice)


def answer_of(response: httpcore.Response) -> Answer:
    """Return `response` as those who judge it see it: a header that comes twice has both values, as RFC 9110 joins them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii", "replace").lower(), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(response.status, headers, aiter(response.aiter_stream()))


def _allowed(location: str, configured: HttpsSources, *, led: bool = False) -> httpcore.URL:
    """Return the URL of `location` if files may be fetched from there; raises `LocationRefused`."""
    what = "the server leads to another place, which is refused: " if led else ""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if _URL.fullmatch(location) is None or parts.scheme != "https" or not host:
        message = f"{what}it is no https:// address, with everything but ASCII in it percent-encoded"
        raise LocationRefused(message)
    if "@" in parts.netloc or parts.fragment:
        message = f"{what}an address with a user or a fragment"
        raise LocationRefused(message)
    if not configured.allows(host, port):
        message = f"{what}images from this host are not allowed"
        raise HostRefused(message, detail=host if port == _PORT else f"{host}:{port}")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    # From its parts: nobody after this reads the text anew, and perhaps otherwise.
    return httpcore.URL(scheme=b"https", host=host.encode("ascii"), port=port, target=target.encode("ascii"))
