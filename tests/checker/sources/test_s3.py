"""Fetching from a store: what is asked for and how it is signed, what is refused, what a vendor and an operator are told.

A real store is asked in tests/images; this one is there to see the requests and to answer as it likes.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.checker.adapters.sources.base import ContentChanged
from services.checker.adapters.sources.configured import S3Store
from services.checker.adapters.sources.s3 import S3Source
from services.checker.adapters.sources.spool import Spool
from tests.checker.sources.conftest import CONTENT, LIMITS, Authority, Client
from tests.checker.sources.server import ObjectServer, Reply, Request

pytestmark = pytest.mark.timeout(30)
SECRET = "wJalr%XUtnFEMI/K7MDENG+bPxRfi="
Serve = Callable[..., Awaitable[ObjectServer]]


@dataclass(slots=True)
class World:
    """A store with the buckets `images` and, beneath `ours/`, `shared`."""

    server: ObjectServer
    spool: Spool
    credentials: Path

    def client(self, **configured: object) -> Client:
        given = {
            "name": "main",
            "endpoint": f"http://127.0.0.1:{self.server.port}",
            "allow_http": True,
            "buckets": ("images", "shared/ours/"),
            "region": "eu-north-1",
            "credentials_file": self.credentials,
            **configured,
        }
        return Client(S3Source((S3Store.model_validate(given),), self.spool, LIMITS), "s3")

    async def fetched(self, location: str, version: str, **configured: object) -> None:
        """Fetch it, whole."""
        opened = await self.client(**configured).open(location, version)
        try:
            assert opened.content_version == version
            assert os.pread(opened.descriptor, len(CONTENT) + 1, 0) == CONTENT
        finally:
            opened.close()


@pytest.fixture
async def world(serve: Serve, spool: Spool, tmp_path: Path) -> World:
    credentials = tmp_path / "credentials"
    write_key(credentials)
    return World(await serve(), spool, credentials)


def write_key(file: Path, name: str = "AKIDEXAMPLE", token: str = "") -> None:
    lines = ["[default]", f"aws_access_key_id = {name}", f"aws_secret_access_key = {SECRET}"]
    file.write_text("\n".join([*lines, *([f"aws_session_token = {token}"] if token else []), ""]))


def is_signed(request: Request, region: str) -> bool:
    """Whether the signature is right, worked out by the steps of the protocol's document (AWS Signature Version 4)."""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=\w+/(\d+)/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)",
        request.headers["authorization"],
    )
    assert found is not None
    day, signed_region, names, signature = found.groups()
    path, _, query = request.target.partition("?")
    headers = "".join(f"{name}:{request.headers[name]}\n" for name in names.split(";"))
    canonical = "\n".join(["GET", path, query, headers, names, request.headers["x-amz-content-sha256"]])
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            f"{day}/{region}/s3/aws4_request",
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names.split(";"))
    return signed_region == region and hmac.digest(key, text.encode(), "sha256").hex() == signature


async def test_an_object_is_fetched_by_signed_requests(world: World) -> None:
    await world.fetched("s3://images/folder/a%20b%2B%25%3F%C3%BC.img", world.server.etag.strip('"'))
    requests = world.server.requests
    assert len(requests) == 1 + -(-len(CONTENT) // 1000)
    assert {request.target for request in requests} == {"/images/folder/a%20b%2B%25%3F%C3%BC.img"}
    assert all(is_signed(request, "eu-north-1") for request in requests)
    assert {request.headers["if-match"] for request in requests} == {world.server.etag}


async def test_new_credentials_are_taken_from_their_file_at_once(world: World) -> None:
    def twist(_request: Request, reply: Reply) -> Reply:
        write_key(world.credentials, "ANOTHER", "token==")
        return reply

    world.server.twist = twist
    await world.fetched("s3://images/one.img", world.server.etag)
    assert "AKIDEXAMPLE" in world.server.requests[0].headers["authorization"]
    assert "x-amz-security-token" not in world.server.requests[0].headers
    last = world.server.requests[-1].headers
    assert ("ANOTHER" in last["authorization"], last["x-amz-security-token"]) == (True, "token==")
    assert all(is_signed(request, "eu-north-1") for request in world.server.requests)


async def test_a_public_bucket_needs_no_credentials(world: World) -> None:
    await world.fetched("s3://images/one.img", world.server.etag, credentials_file=None)
    assert not any("authorization" in request.headers for request in world.server.requests)


async def test_a_store_over_tls_with_an_authority_of_its_own(serve: Serve, world: World, authority: Authority) -> None:
    world.server = await serve(tls=authority.server)
    secure = {"endpoint": f"https://localhost:{world.server.port}", "allow_http": False}
    await world.fetched("s3://images/one.img", world.server.etag, ca_file=authority.file, **secure)
    refused = await world.client(**secure).refused("s3://images/one.img", world.server.etag)
    assert "certificate is not one that the checker trusts" in str(refused)
    # The bucket before the host: only where the name leads shows it here.
    refused = await world.client(ca_file=authority.file, addressing="virtual", **secure).refused("s3://images/one.img", "x")
    assert "certificate" in str(refused) or "cannot be reached" in str(refused)


async def test_a_version(world: World) -> None:
    world.server.twist = lambda _request, reply: reply.with_headers(x_amz_version_id="v.1_x")
    await world.fetched("s3://images/one.img?versionId=v.1_x", "v.1_x")
    await world.fetched("s3://images/one.img?versionId=v.1_x", world.server.etag)
    assert {request.target for request in world.server.requests} == {"/images/one.img?versionId=v.1_x"}
    # Everything after the first look is pinned by its tag, too.
    assert [request.headers.get("if-match") for request in world.server.requests].count(None) == 1
    assert isinstance(await world.client().refused("s3://images/one.img?versionId=v.1_x", "v.2"), ContentChanged)
    refused = await world.client().refused("s3://images/one.img?versionId=v.2", "v.2")
    assert "does not give the version" in str(refused)


async def test_a_version_of_a_store_that_keeps_none(world: World) -> None:
    refused = await world.client().refused("s3://images/one.img?versionId=v.1", "v.1")
    assert "does not give the version" in str(refused)
    # What has no version can be written anew: its name says nothing of its content.
    assert isinstance(await world.client().refused("s3://images/one.img?versionId=null", "null"), ContentChanged)
    await world.fetched("s3://images/one.img?versionId=null", world.server.etag)


async def test_content_that_changes(world: World) -> None:
    def twist(request: Request, reply: Reply) -> Reply:
        if request.span == (1000, 1999):
            world.server.content = CONTENT[::-1]
        return reply

    world.server.twist = twist
    assert isinstance(await world.client().refused("s3://images/one.img", world.server.etag), ContentChanged)


NOT_OURS = [
    ("s3://other/one.img", "no store is named for this bucket and key"),
    ("s3://shared/one.img", "no store is named for this bucket and key"),
    ("s3://shared/ours", "no store is named for this bucket and key"),
    ("s3://shared/ours/../one.img", "empty parts"),
    ("s3://shared/ours/%2E%2E/one.img", "empty parts"),
    ("s3://images//one.img", "empty parts"),
    ("s3://images/", "a key has"),
    ("s3://images", "a key has"),
    ("s3://images/%00", "a key has"),
    ("s3://images/a%0Ab", "a key has"),
    ("s3://images/" + "x" * 1025, "a key has"),
    ("s3://images/%ff", "it is no location"),
    ("s3://images/a#b", "percent-encoded"),
    ("s3://Images/a", "percent-encoded"),
    ("s3://key:secret@images/a", "percent-encoded"),
    ("s3://images:80/a", "percent-encoded"),
    ("s3:///images/a", "percent-encoded"),
    ("s3://images/a?versionId=", "at most one"),
    ("s3://images/a?versionId=1&versionId=2", "at most one"),
    ("s3://images/a?acl", "it is no location"),
    ("s3://images/a?acl=x&versionId=1", "at most one"),
    ("s3://[x/a", "it is no location"),
]


@pytest.mark.parametrize(("location", "reason"), NOT_OURS)
async def test_a_location_that_is_not_of_this_store(world: World, location: str, reason: str) -> None:
    refused = str(await world.client().refused(location, "x"))
    assert reason in refused
    assert "secret" not in refused
    assert world.server.requests == []


async def test_a_prefix_of_a_bucket(world: World) -> None:
    await world.fetched("s3://shared/ours/one.img", world.server.etag)


ERRORS = [
    (404, "NoSuchKey", "no such object"),
    (404, "NoSuchVersion", "no such version"),
    (404, "NoSuchBucket", "no such bucket"),
    (403, "AccessDenied", "may not read the object, or it is not there"),
    (403, "InvalidObjectState", "archived"),
    (403, "SignatureDoesNotMatch", "ask the operator"),
    (403, "RequestTimeTooSkewed", "ask the operator"),
    (301, "PermanentRedirect", "ask the operator"),
    (307, "", "ask the operator"),
    (400, "ExpiredToken", "ask the operator"),
    (403, "", "may not read the object"),
    (404, "", "no such object"),
]


@pytest.mark.parametrize(("status", "code", "reason"), ERRORS)
async def test_what_a_store_refuses(
    world: World, status: int, code: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"<Error><Code>{code}</Code><Host>inner.example</Host></Error>".encode() if code else b""
    headers = {"content-length": str(len(body)), "location": "http://169.254.169.254/"}
    world.server.twist = lambda _request, _reply: Reply(status, headers, body)
    refused = str(await world.client().refused("s3://images/one.img", world.server.etag))
    assert refused.startswith("s3://images/one.img: ")
    assert reason in refused
    assert not [word for word in ("inner", str(world.server.port), "AKIDEXAMPLE", SECRET) if word in refused]
    assert SECRET not in capsys.readouterr().out
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("body", [b"<Code>" * 100_000, b"<Code>" + bytes(100_000), b"\xff" * 5000])
async def test_an_error_that_has_no_end(world: World, body: bytes) -> None:
    world.server.twist = lambda _request, _reply: Reply(403, {"content-length": str(len(body))}, body)
    assert "may not read" in str(await world.client().refused("s3://images/one.img", world.server.etag))


@pytest.mark.parametrize(
    "text", [None, "", "[default]\n", "[other]\naws_access_key_id=x\n", f"{SECRET}\n", "\xff", "[default]\n[default]\n"]
)
async def test_credentials_that_cannot_be_read(world: World, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    world.credentials.unlink()
    if text is not None:
        world.credentials.write_bytes(text.encode("latin-1"))
    refused = str(await world.client().refused("s3://images/one.img", world.server.etag))
    assert "ask the operator" in refused
    assert str(world.credentials) not in refused
    logged = capsys.readouterr().out
    assert str(world.credentials) in logged
    assert SECRET not in logged
    assert world.server.requests == []
