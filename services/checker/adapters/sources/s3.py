"""`s3://bucket/key[?versionId=…]`: objects in the stores that the operator names. The key is percent-encoded, as in any URI.

Source: the S3 API's GetObject and its error codes; requests are signed by the AWS Signature Version 4.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import httpcore
from aws_request_signer import AwsRequestSigner

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.answers import USUAL, Answer, FetchLimits, Origin
from services.checker.adapters.sources.base import Opened, Wanted, is_digest
from services.checker.adapters.sources.configured import BUCKET, CredentialsUnusable, S3Store
from services.checker.adapters.sources.https import answer_of
from services.checker.adapters.sources.network import TIMEOUTS, pool, trusting
from services.checker.adapters.sources.ranges import Found, fetch, quoted
from services.checker.adapters.sources.spool import Spool
from shared.telemetry.logs import get_logger

_KEY_BYTES_MAX: Final = 1024
_ERROR_BYTES_MAX: Final = 4096
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_OURS: Final = ("the checker's access to the store is at fault", "ask the operator")
_NOT_READ: Final = (
    "the checker may not read the object, or it is not there",
    "correct the location, or ask the operator to grant s3:GetObject",
)
_MEANINGS: Final = {
    "NoSuchKey": ("there is no such object", "name a location that is there"),
    "NoSuchVersion": ("there is no such version of the object", "name one that is there"),
    "NoSuchBucket": ("the store has no such bucket", "ask the operator"),
    "AccessDenied": _NOT_READ,
    "MethodNotAllowed": ("this version of the object is a delete marker", "name another version"),
    "InvalidObjectState": ("the object is archived", "restore it first"),
    "InvalidArgument": ("the store takes the location for none of its own", "correct its version"),
}
_BY_STATUS: Final = {403: _NOT_READ, 404: _MEANINGS["NoSuchKey"]}
_NO_VERSION: Final = "null"

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Object:
    bucket: str
    key: str
    version: str | None


class StoreRefused(LocationRefused):
    """The store does not give the object, `detail` being its own word; or none is named."""


class S3Source:
    """Fetches from the buckets of `stores`."""

    def __init__(self, stores: tuple[S3Store, ...], spool: Spool, limits: FetchLimits = USUAL) -> None:
        self._stores = {entry.partition("/")[0]: (store, trusting(store.ca_file)) for store in stores for entry in store.buckets}
        self._spool, self._limits = spool, limits

    async def open(self, wanted: Wanted) -> Opened:
        """Fetch the object; raises `LocationRefused`."""
        meant = _object_of(wanted.location)
        store, tls = self._stores.get(meant.bucket, (None, None))
        if store is None or tls is None or not _within(store, meant):
            message = "no store is named for this bucket and key"
            raise StoreRefused(message)
        by_digest = is_digest(wanted.content_version)
        # The version "null" is the one of a time without versions: it can be written anew, so that only its tag tells.
        by_version = meant.version not in (None, _NO_VERSION) and wanted.content_version == meant.version
        etag = None if by_digest or by_version or wanted.content_version is None else quoted(wanted.content_version)

        def version_of(found: Found) -> str | None:
            if meant.version is not None and found.headers.get("x-amz-version-id", _NO_VERSION) != meant.version:
                message = "the store does not give the version that was asked for: does its bucket keep versions?"
                raise LocationRefused(message)
            return None if by_digest else wanted.content_version

        @asynccontextmanager
        async def connect() -> AsyncIterator[Origin]:
            # To wherever the operator said: a store may well stand in a private network.
            async with pool(tls, httpcore.AnyIOBackend(), self._limits.connections) as connections:
                yield _S3Origin(store, meant, connections)

        return await fetch(connect, wanted, etag=etag, version_of=version_of, spool=self._spool, limits=self._limits)


class _S3Origin:
    def __init__(self, store: S3Store, meant: _Object, connections: httpcore.AsyncConnectionPool) -> None:
        self._store, self._connections = store, connections
        scheme, _, host = store.endpoint.partition("://")
        base = f"{scheme}://{host}/{meant.bucket}" if store.addressing == "path" else f"{scheme}://{meant.bucket}.{host}"
        query = "" if meant.version is None else f"?versionId={quote(meant.version, safe='')}"
        self._url = f"{base}/{quote(meant.key, safe='/-_.~')}{query}"

    @asynccontextmanager
    async def get(self, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Ask, signed by the credentials as they are now."""
        try:
            credentials = self._store.credentials()
        except CredentialsUnusable as error:
            await logger.aerror("store_credentials_unusable", store=self._store.name, why=str(error))
            raise StoreRefused(*_OURS, detail=str(error)) from None
        signed: dict[str, str] = {}
        if credentials is not None:
            token = credentials.session_token
            signer = AwsRequestSigner(
                self._store.region,
                credentials.access_key_id,
                credentials.secret_access_key.get_secret_value(),
                "s3",
                None if token is None else token.get_secret_value(),
            )
            signed = signer.sign_with_headers("GET", self._url)
        sent = [*headers.items(), *signed.items()]
        async with self._connections.stream("GET", self._url, headers=sent, extensions=TIMEOUTS) as response:
            yield answer_of(response)

    async def refusal(self, answer: Answer) -> LocationRefused:
        """Return what the store's error code means; the code itself goes to the operator."""
        said = bytearray()
        async for piece in answer.body:
            said += piece
            if len(said) >= _ERROR_BYTES_MAX:
                break
        found = _CODE.search(said[:_ERROR_BYTES_MAX])
        code = "" if found is None else found[1].decode("ascii")
        await logger.awarning("store_refused", store=self._store.name, status=answer.status, code=code)
        meaning = _MEANINGS.get(code) or (_OURS if code else _BY_STATUS.get(answer.status, _OURS))
        return StoreRefused(*meaning, detail=f"status {answer.status}{code and f', {code}'}")


def _object_of(location: str) -> _Object:
    """Take `location` apart; raises `LocationRefused`."""
    problem = None
    try:
        parts = urlsplit(location)
        bucket, key = parts.netloc, unquote(parts.path[1:], errors="strict")
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except (ValueError, UnicodeDecodeError):
        problem = "it is no location"
    else:
        versions = [value for name, value in query if name == "versionId"]
        if BUCKET.fullmatch(bucket) is None or parts.fragment:
            problem = "a location in a store is s3://bucket/key, a '#' or '?' in the key percent-encoded"
        elif len(versions) != len(query) or len(versions) > 1 or "" in versions:
            problem = "beside the key there is at most one ?versionId=…"
        elif not 0 < len(key.encode()) <= _KEY_BYTES_MAX or not key.isprintable():
            problem = f"a key has 1 to {_KEY_BYTES_MAX} bytes of printable characters"
        elif {"", ".", ".."} & set(key.split("/")):
            # Not every store takes these for what they are in a key.
            problem = "a key with empty parts, '.' or '..'"
        else:
            return _Object(bucket, key, versions[0] if versions else None)
    raise LocationRefused(problem)


def _within(store: S3Store, meant: _Object) -> bool:
    entries = (entry.partition("/") for entry in store.buckets)
    return any(bucket == meant.bucket and meant.key.startswith(prefix) for bucket, _, prefix in entries)
