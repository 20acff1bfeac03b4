"""Connections to public addresses only: a name is resolved once, every address judged, and the very address connected to.

So a name that means another address the next time it is asked for (DNS rebinding) leads nowhere. Sources: the special-purpose
address registries of IANA for IPv4 and IPv6; RFC 6052 (addresses of IPv4 within IPv6).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final

import httpcore

from services.checker.adapters.locations import LocationRefused

_CONNECT_S: Final = 10.0
_ADDRESSES_MAX: Final = 8
# Beside what the ipaddress module, older than the registry, takes for private.
_NOT_PUBLIC_4: Final = tuple(
    map(IPv4Network, ("100.64.0.0/10", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"))
)
_UNICAST_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")))
_TRANSLATED_6: Final = IPv6Network("64:ff9b::/96")
Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]
Resolve = Callable[[str, int], Awaitable[list[str]]]


class AddressRefused(LocationRefused):
    """The host has an address that is not connected to."""


class HostUnknown(LocationRefused):
    """Nothing has the host's name."""


def is_public(address: Address) -> bool:
    """Whether `address` is one of the internet's, neither private nor special, in whatever form it is written."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _TRANSLATED_6:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        # A zone (%eth0) goes with link-local addresses alone.
        return address.scope_id is None and address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC_4)


def may_connect(address: Address, allowed: Networks) -> bool:
    """Whether `address` is public, or in a network that the operator allows."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return is_public(address) or any((mapped or address) in network for network in allowed)


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, as the system resolves it; raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to hosts all of whose addresses may be connected to."""

    def __init__(self, allowed: Networks, resolve: Resolve = resolve) -> None:
        self._allowed, self._resolve = allowed, resolve
        self._connector = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; raises `AddressRefused` if one of them is not allowed, `HostUnknown`."""
        try:
            addresses = [ip_address(each) for each in await self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError) as error:
            # Said for good, where EAI_AGAIN may pass (getaddrinfo(3)).
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME:
                message = "there is no host of this name"
                raise HostUnknown(message, "correct the address", detail=str(error.strerror)) from None
            message = "the host's name has no address"
            raise httpcore.ConnectError(message) from error
        if refused := [str(address) for address in addresses if not may_connect(address, self._allowed)]:
            message = "the host's address is not a public one: it is not connected to"
            raise AddressRefused(message, detail=", ".join(refused[:_ADDRESSES_MAX]))
        failed: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_ADDRESSES_MAX]:
            try:
                return await self._connector.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of verified connections that trusts `ca_file`, or what the system does; raises `OSError`."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Remembering(httpcore.AsyncNetworkBackend):
    """Remembers what was connected: httpcore does not close a connection whose TLS handshake is cancelled."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        self._network = network
        self.streams: list[httpcore.AsyncNetworkStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the same
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        self.streams.append(stream)
        return stream

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


@asynccontextmanager
async def pool(
    context: ssl.SSLContext, network: httpcore.AsyncNetworkBackend, connections: int
) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    """Yield connections that no proxy of the environment sees, that follow nothing and decode nothing."""
    remembering = _Remembering(network)
    try:
        async with httpcore.AsyncConnectionPool(
            ssl_context=context,
            network_backend=remembering,
            max_connections=connections,
            max_keepalive_connections=connections,
        ) as opened:
            yield opened
    finally:
        for stream in remembering.streams:
            await stream.aclose()


TIMEOUTS: Final = {"timeout": {"connect": _CONNECT_S}}
