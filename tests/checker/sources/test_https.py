"""Fetching by https from hostile servers: whole and as asked for, or refused with the reason, in time."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from services.checker.adapters.sources import answers
from services.checker.adapters.sources.base import ContentChanged
from services.checker.adapters.sources.spool import Spool
from tests.checker.sources.conftest import CONTENT, HASTY, Authority
from tests.checker.sources.https_world import Serve, World, all_of, once
from tests.checker.sources.server import Reply, Request

pytestmark = pytest.mark.timeout(30)
OTHER = CONTENT[::-1]
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def name_of(descriptor: Path) -> str:
    """What is open there; nothing if it was closed meanwhile."""
    with suppress(FileNotFoundError):
        return str(descriptor.readlink())
    return ""


@pytest.fixture
async def world(serve: Serve, authority: Authority, spool: Spool) -> World:
    return World(await serve(tls=authority.server), authority, spool)


async def test_an_image_is_fetched_in_parts(world: World) -> None:
    client = world.client()
    opened = await client.open(world.url("/a%20b.img?x=1"), world.server.etag)
    assert opened.content_version == world.server.etag
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(opened.descriptor, b"x")
    assert not os.get_inheritable(opened.descriptor)
    # What is zero takes no room.
    assert all_of(opened) == CONTENT
    asked = world.server.asked()
    size = len(CONTENT)
    assert sorted(asked) == [(0, 0), *((first, min(first + 1000, size) - 1) for first in range(0, size, 1000))]
    assert {request.headers["if-match"] for request in world.server.requests} == {world.server.etag}
    assert {request.target for request in world.server.requests} == {"/a%20b.img?x=1"}
    assert client.told[0] == ("fetch", 0, size)
    assert client.told[-1] == ("fetch", size, size)


async def test_the_version_is_an_etag_with_or_without_quotes_or_a_digest(world: World) -> None:
    for version in (world.server.etag, world.server.etag.strip('"')):
        opened = await world.client().open(world.url(), version)
        assert (opened.content_version, all_of(opened)) == (version, CONTENT)
    opened = await world.client().open(world.url(), DIGEST)
    # What came is hashed by the check anyway.
    assert (opened.content_version, all_of(opened)) == (None, CONTENT)


async def test_a_server_without_ranges_is_read_in_one_go(world: World) -> None:
    def twist(request: Request, reply: Reply) -> Reply:
        return Reply(200, {"etag": world.server.etag, "content-length": str(len(CONTENT))}, CONTENT) if request.span else reply

    world.server.twist = twist
    client = world.client()
    assert all_of(await client.open(world.url(), world.server.etag)) == CONTENT
    assert world.server.asked() == [(0, 0), None]
    # What breaks off begins anew.
    left = [4000]
    world.server.twist = lambda request, reply: replace(
        twist(request, reply), cut=None if request.span or not left else left.pop()
    )
    assert all_of(await client.open(world.url(), world.server.etag)) == CONTENT
    assert world.server.asked()[2:] == [(0, 0), None, None]
    assert client.told[-1] == ("fetch", len(CONTENT), len(CONTENT))


async def test_a_server_without_tags_needs_the_digest(world: World) -> None:
    world.server.twist = lambda _request, reply: reply.with_headers(etag=None)
    assert all_of(await world.client().open(world.url(), DIGEST)) == CONTENT
    assert "no strong entity tag" in await world.refused()


@pytest.mark.parametrize(("block_bytes", "again"), [(1 << 20, (2000, 2999)), (100, (2400, 2999))])
async def test_a_broken_part_is_asked_for_from_where_it_broke(
    world: World, monkeypatch: pytest.MonkeyPatch, block_bytes: int, again: tuple[int, int]
) -> None:
    monkeypatch.setattr(answers, "_BLOCK_BYTES", block_bytes)
    broken: list[tuple[int, int]] = []

    def twist(request: Request, reply: Reply) -> Reply:
        if request.span == (2000, 2999) and not broken:
            broken.append(request.span)
            return replace(reply, cut=400)
        return reply

    world.server.twist = twist
    assert all_of(await world.client().open(world.url(), world.server.etag)) == CONTENT
    asked = world.server.asked()
    # What had come in whole blocks is kept.
    assert (len(broken), asked[asked.index((2000, 2999)) + 1 :].count(again)) == (1, 1)
    assert len(asked) == 2 + -(-len(CONTENT) // 1000)


# A server that asks for an hour gets the longest pause that there is.
PASSING = [(429, "3600"), (500, "-1"), (502, "soon"), (503, "Wed, 21 Oct 2999 07:28:00 GMT"), (504, "9" * 400)]


@pytest.mark.parametrize(("status", "wait"), PASSING)
async def test_what_passes_is_tried_again(world: World, status: int, wait: str) -> None:
    world.server.twist = once(*[Reply(status, {"content-length": "0", "retry-after": wait})] * 2)
    assert all_of(await world.client().open(world.url(), world.server.etag)) == CONTENT


async def test_what_does_not_pass_ends(world: World) -> None:
    world.server.twist = lambda _request, _reply: Reply(503, {"content-length": "0"})
    assert await world.refused() == (
        f"https://images.test:{world.server.port}/one.img: the server answers with status 503, 3 times: try again later"
    )
    assert len(world.server.requests) == 3


async def test_other_content_from_the_beginning(world: World) -> None:
    assert isinstance(await world.client().refused(world.url(), '"other"'), ContentChanged)
    # A server that does not know If-Match answers all the same.
    world.server.twist = lambda _request, reply: reply.with_headers(etag='"new"')
    assert isinstance(await world.client().refused(world.url(), world.server.etag), ContentChanged)


@pytest.mark.parametrize("knows_if_match", [True, False])
async def test_content_that_changes_in_the_middle(world: World, *, knows_if_match: bool) -> None:
    etag, server = world.server.etag, world.server

    def twist(request: Request, reply: Reply) -> Reply:
        if request.span == (3000, 3999):
            server.content = OTHER
        if request.span is not None and request.span[0] >= 3000:
            first, last = request.span
            body = OTHER[first : last + 1]
            return Reply(412, {"content-length": "0"}) if knows_if_match else replace(reply, body=body).with_headers(etag='"new"')
        return reply

    server.twist = twist
    assert isinstance(await world.client().refused(world.url(), etag), ContentChanged)


async def test_content_that_changes_afterwards(world: World) -> None:
    opened = await world.client().open(world.url(), world.server.etag)
    await opened.recheck()
    world.server.content = OTHER
    with pytest.raises(ContentChanged):
        await opened.recheck()
    opened.close()


def other_total(reply: Reply) -> Reply:
    return reply.with_headers(content_range=reply.headers["content-range"].partition("/")[0] + "/9999")


PARTS: dict[str, tuple[Callable[[Reply], Reply], str]] = {
    "short body": (lambda reply: replace(reply, cut=500), "breaks off"),
    "another range": (lambda reply: reply.with_headers(content_range=f"bytes 0-999/{len(CONTENT)}"), "another range"),
    "no range": (lambda reply: reply.with_headers(content_range=None), "how long the content is"),
    "senseless range": (lambda reply: reply.with_headers(content_range="bytes 1-0x2/3"), "how long the content is"),
    "other total": (other_total, "not the one that was asked for"),
    "whole instead": (lambda reply: replace(reply, status=200), "not the one that was asked for"),
    "gzip": (lambda reply: reply.with_headers(content_encoding="gzip"), "encoded"),
    "coded twice": (lambda reply: reply.with_headers(content_encoding="identity, gzip"), "encoded"),
    "longer": (
        lambda reply: replace(reply, body=b"40\r\n" + bytes(64) + b"\r\n", endless=True).with_headers(
            content_length=None, transfer_encoding="chunked"
        ),
        "sends more than the 1000 bytes",
    ),
    "shorter": (
        lambda reply: replace(reply, body=b"40\r\n" + bytes(64) + b"\r\n0\r\n\r\n").with_headers(
            content_length=None, transfer_encoding="chunked"
        ),
        "too early",
    ),
    "other length": (lambda reply: replace(reply, cut=1000).with_headers(content_length="2000"), "announces 2000 bytes"),
    "two lengths": (lambda reply: reply.with_headers(Content_Length="999"), "does not speak HTTP"),
    "no etag": (lambda reply: reply.with_headers(etag=None), "no strong entity tag"),
    "weak etag": (lambda reply: reply.with_headers(etag=f"W/{reply.headers['etag']}"), "no strong entity tag"),
    "no HTTP": (lambda _: Reply(0, {}, b"what?"), "does not speak HTTP"),
    "endless head": (lambda reply: reply.with_headers(x="x" * 200_000), "does not speak HTTP"),
    "not found": (lambda _: Reply(404, {"content-length": "0"}), "there is no such file"),
    "forbidden": (lambda _: Reply(403, {"content-length": "0"}), "allow it to be read without credentials"),
    "not modified": (lambda _: Reply(304, {}), "status 304"),
}


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("from_part", [0, 2])
async def test_a_bad_answer(world: World, kind: str, from_part: int) -> None:
    """From the first look on, or to a part in the middle."""
    change, reason = PARTS[kind]

    def twist(request: Request, reply: Reply) -> Reply:
        return change(reply) if request.span is not None and request.span[0] >= 1000 * from_part else reply

    world.server.twist = twist
    refused = await world.client().refused(world.url(), world.server.etag)
    # The first look's answer is one byte, of which less can be wrong.
    if from_part:
        assert reason in str(refused)


SLOW: dict[str, Reply] = {
    "head": Reply(206, {"x": "y" * 1000}, head_pause_s=0.02),
    "silence": Reply(206, {"content-length": "1000"}, head_pause_s=5),
}


@pytest.mark.parametrize("kind", ["head", "silence", "body", "body silent"])
async def test_a_server_that_keeps_us_waiting(world: World, kind: str) -> None:
    def twist(request: Request, reply: Reply) -> Reply:
        if request.span == (0, 0):
            return reply
        if kind in SLOW:
            return replace(SLOW[kind])
        return replace(reply, body_pause_s=0.02 if kind == "body" else 5)

    world.server.twist = twist
    began = time.monotonic()
    assert "it takes too long to answer, 2 times" in await world.refused(HASTY)
    assert time.monotonic() - began < 5


async def test_the_time_of_a_check_ends(world: World) -> None:
    world.server.twist = lambda request, reply: replace(reply, body_pause_s=0.01 if request.span == (2000, 2999) else 0)
    refused = await world.client().refused(world.url(), world.server.etag, until=time.monotonic() + 1)
    assert f"it was not fetched in the time of a check: {len(CONTENT) - 1000} of {len(CONTENT)} bytes came" in str(refused)


async def test_a_cancelled_fetch_leaves_nothing(world: World, folder: Path) -> None:
    world.server.twist = lambda request, reply: replace(reply, body_pause_s=0 if request.span == (0, 0) else 1)
    client = world.client()
    fetching = asyncio.create_task(client.open(world.url(), world.server.etag))
    while not client.told:
        await asyncio.sleep(0.01)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert [name for name in map(name_of, Path("/proc/self/fd").iterdir()) if name.startswith(str(folder))] == []


async def test_an_image_that_is_too_large_is_not_begun(world: World) -> None:
    size = (1 << 20) + 1
    world.server.twist = lambda _request, reply: reply.with_headers(content_range=f"bytes 0-0/{size}")
    assert f"the image has {size} bytes, more than the {1 << 20} that the checker fetches" in await world.refused()
    assert world.server.asked() == [(0, 0)]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(416, {"content-length": "0"}), "the image is empty"),
        (Reply(200, {"content-length": "0", "etag": '"x"'}), "the image is empty"),
        (Reply(200, {"transfer-encoding": "chunked", "etag": '"x"'}, b"0\r\n\r\n"), "how long the content is"),
        (Reply(206, {"content-range": f"bytes 0-0/{10**18 * 9}", "content-length": "1", "etag": '"x"'}, b"x"), "how long"),
        (Reply(206, {"content-range": "bytes 0-0/*", "content-length": "1", "etag": '"x"'}, b"x"), "how long the content is"),
    ],
)
async def test_content_of_no_or_any_length(world: World, reply: Reply, reason: str) -> None:
    world.server.twist = lambda _request, _reply: reply
    assert reason in str(await world.client().refused(world.url(), "x"))


async def test_what_is_no_version(world: World) -> None:
    for version in ('W/"weak"', 'a"b', "a b", "ä"):
        assert "no strong entity tag" in str(await world.client().refused(world.url(), version))
    assert world.server.requests == []
