"""`image-commons check` of a location, as a process, on real servers: as a file's check, or the reason on standard error."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from shared.reporting.arrangement import size_text
from tests.checker.sources.conftest import Authority
from tests.checker.sources.server import ObjectServer, Reply, Request
from tests.checker.sources.test_s3 import SECRET, is_signed

PROJECT = Path(__file__).resolve().parents[3]
LOOPBACK = ("--allow", "127.0.0.0/8", "--allow", "::1")
Serve = Callable[..., Awaitable[ObjectServer]]


@dataclass(slots=True)
class World:
    """A server of a system disk, as an https host and as a store, and what the environment says of both."""

    server: ObjectServer
    disk: Path
    spool: Path
    variables: dict[str, str] = field(default_factory=dict)

    def url(self, rest: str = "/debian-13.qcow2") -> str:
        return f"https://localhost:{self.server.port}{rest}"

    @asynccontextmanager
    async def started(self, *arguments: str, **streams: int) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `check`; it has ended in the end, and left nothing in the spool."""
        environment = {**os.environ, "COLUMNS": "200", "IMAGE_COMMONS_SPOOL": str(self.spool), **self.variables}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", "check", *arguments, cwd=PROJECT, env=environment, **streams
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        assert list(self.spool.iterdir()) == []

    async def check(self, *arguments: str) -> tuple[int | None, str, str]:
        """Return exit code, standard output and error."""
        async with self.started(*arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE) as process:
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

    async def refused(self, *arguments: str, code: int = 2) -> str:
        """Return what is said of a check that ends with `code`, and prints nothing else."""
        ended, out, err = await self.check(*arguments)
        assert (ended, out) == (code, ""), err
        assert "Traceback" not in err
        assert "s3cr3t" not in err
        return err


@pytest.fixture
async def world(serve: Serve, authority: Authority, system_disk: Path, folder: Path) -> World:
    server = await serve(system_disk.read_bytes(), authority.server)
    store = {
        "name": "main",
        "endpoint": f"https://localhost:{server.port}",
        "buckets": ["images"],
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": SECRET,
        "ca_file": str(authority.file),
    }
    variables = {
        "IMAGE_COMMONS_HTTPS_SOURCES": json.dumps({"ca_file": str(authority.file)}),
        "IMAGE_COMMONS_S3_STORES": json.dumps([store]),
    }
    return World(server, system_disk, folder, variables)


def comparable(document: str) -> dict[str, object]:
    """A report without what differs from check to check."""
    report = json.loads(document)
    return {name: value for name, value in report.items() if name not in {"report_id", "started_at", "finished_at", "timings_s"}}


async def test_what_is_fetched_is_checked_as_a_file_is(world: World, tmp_path: Path) -> None:
    code, of_file, _ = await world.check(str(world.disk))
    page, bill = tmp_path / "page.html", tmp_path / "bill.json"
    secret = world.url("/debian-13.qcow2?token=s3cr3t")
    fetched = await world.check(secret, *LOOPBACK, "--html", str(page), "--sbom", str(bill))
    assert (fetched[0], comparable(fetched[1]), fetched[2]) == (code, comparable(of_file), "")
    assert world.server.requests[-1].target == "/debian-13.qcow2?token=s3cr3t"
    for told in (page.read_text(), bill.read_text()):
        assert world.url() in told
        assert "s3cr3t" not in told


async def test_an_object_is_fetched_from_the_environments_store(world: World, tmp_path: Path) -> None:
    world.server.twist = lambda _request, reply: reply.with_headers(x_amz_version_id="v.1")
    page = tmp_path / "page.html"
    code, out, _ = await world.check("s3://images/a%20b.qcow2?versionId=v.1", "--html", str(page))
    assert (code, json.loads(out)["outcome"]) == (0, "passed")
    assert all(is_signed(request, "us-east-1") for request in world.server.requests)
    assert "s3://images/a%20b.qcow2?versionId=v.1" in page.read_text()


async def test_the_name_is_the_last_part_of_the_location(world: World) -> None:
    code, fetched, _ = await world.check(world.url("/images/centos7%2E9.qcow2"), *LOOPBACK, "--name")
    of_file = world.disk.with_name("centos7.9.qcow2")
    of_file.symlink_to(world.disk)
    assert (code, comparable(fetched)) == (1, comparable((await world.check(str(of_file), "--name"))[1]))
    assert json.loads(fetched)["blocking"] == ["SECURITY.Claims"]


async def test_a_server_without_tags_is_read_in_one_answer(world: World) -> None:
    world.server.twist = lambda _request, reply: reply.with_headers(etag=None)
    code, out, _ = await world.check(world.url(), *LOOPBACK)
    assert (code, json.loads(out)["complete"]) == (0, True)
    assert world.server.asked() == [(0, 0), None, (0, 0)]


async def test_a_host_that_it_leads_to_is_named_and_allowed_by_name(world: World, serve: Serve, authority: Authority) -> None:
    beside = await serve(world.server.content, authority.server)
    led = {"location": f"https://localhost:{beside.port}/there.qcow2?token=s3cr3t", "content-length": "0"}
    world.server.twist = lambda _request, _reply: Reply(302, led)
    said = await world.refused(world.url(), *LOOPBACK)
    assert f"images from this host are not allowed (localhost:{beside.port})" in said
    assert f"if it is meant: --allow localhost:{beside.port}\n" in said
    assert beside.requests == []
    assert (await world.check(world.url(), *LOOPBACK, "--allow", f"localhost:{beside.port}"))[0] == 0


async def test_an_address_that_is_not_public_is_named_and_allowed_by_name(world: World) -> None:
    said = await world.refused(world.url())
    assert "the host's address is not a public one" in said
    assert "if it is meant: --allow 127.0.0.1" in said
    assert world.server.requests == []
    here = f"https://127.0.0.1:{world.server.port}/x"
    # Allowed, it is asked, and shows a certificate of another name.
    said = await world.refused(here, "--allow", "127.0.0.1")
    assert "the server's certificate is not one that the checker trusts (IP address mismatch" in said


TOO_LARGE = 1 << 21
REPLIES: dict[str, tuple[Reply, list[str]]] = {
    "not found": (Reply(404, {"content-length": "0"}), ["status 404: there is no such file", "next: name a location that is"]),
    "forbidden": (Reply(403, {"content-length": "0"}), ["status 403", "next: allow it to be read without credentials"]),
    "empty": (Reply(416, {"content-length": "0"}), ["the image is empty"]),
    "too large": (
        Reply(206, {"content-range": f"bytes 0-0/{TOO_LARGE}", "content-length": "1", "etag": '"x"'}, b"x"),
        [f"the image has {TOO_LARGE} bytes, more than the {1 << 20}", "next: raise IMAGE_COMMONS_SPOOL_IMAGE_BYTES_MAX"],
    ),
}


@pytest.mark.parametrize("kind", REPLIES)
async def test_what_a_server_answers_instead(world: World, kind: str) -> None:
    reply, words = REPLIES[kind]
    world.server.twist = lambda _request, _reply: reply
    world.variables["IMAGE_COMMONS_SPOOL_IMAGE_BYTES_MAX"] = str(1 << 20)
    said = await world.refused(world.url("/debian-13.qcow2?token=s3cr3t"), *LOOPBACK)
    assert f"where: {world.url()}\n" in said
    assert [word for word in words if word not in said] == []


async def test_a_store_that_refuses_is_told_with_its_own_word(world: World) -> None:
    body = b"<Error><Code>InvalidAccessKeyId</Code></Error>"
    world.server.twist = lambda _request, _reply: Reply(403, {"content-length": str(len(body))}, body)
    said = await world.refused("s3://images/one.qcow2")
    assert "(status 403, InvalidAccessKeyId)" in said
    assert "IMAGE_COMMONS_S3_STORES" in said
    assert SECRET not in said


async def test_no_room_in_the_spool(world: World) -> None:
    # As on a full disk, the system refuses the file its size.
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", 'ulimit -f 8; exec "$@"', "-", sys.executable, "-m", "cli", "check", world.url(), *LOOPBACK,
        cwd=PROJECT, env={**os.environ, "COLUMNS": "200", "IMAGE_COMMONS_SPOOL": str(world.spool), **world.variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert f"no room for the image's {len(world.server.content)} bytes" in err.decode()
    assert f"next: make room in {world.spool}, or name another folder in IMAGE_COMMONS_SPOOL" in err.decode()


async def test_nobody_is_there(world: World) -> None:
    unknown, closed = await asyncio.gather(
        world.refused("https://nobody.invalid/one.qcow2"), world.refused("https://localhost:1/one.qcow2", *LOOPBACK)
    )
    assert "there is no host of this name (Name or service not known)" in unknown
    assert "correct the address" in unknown
    assert "cannot be reached, 5 times (Connection refused)" in closed


def changed_at(world: World, number: int) -> None:
    """Other content lies there from the request of this number on."""

    def twist(_request: Request, reply: Reply) -> Reply:
        return Reply(412, {"content-length": "0"}) if len(world.server.requests) >= number else reply

    world.server.twist = twist


async def test_what_changes_while_it_is_fetched_is_undetermined(world: World) -> None:
    changed_at(world, 2)
    assert "it changed while it was fetched" in await world.refused(world.url(), *LOOPBACK, code=3)


async def test_what_changes_while_it_is_checked_is_undetermined(world: World) -> None:
    changed_at(world, 3)
    code, out, _ = await world.check(world.url(), *LOOPBACK)
    told = json.loads(out)
    assert (code, told["outcome"], told["complete"]) == (3, "undetermined", False)
    assert told["error"] == "the image's content changed while it was being checked"


NOT_BEGUN: dict[str, tuple[list[str], Mapping[str, str], str]] = {
    "http": (["http://localhost/x"], {}, "nothing is fetched from http://"),
    "file": (["file:///etc/passwd"], {}, "nothing is fetched from file://"),
    "a user": (["https://me:s3cr3t@images.test/x"], {}, "an address with a user"),
    "no port": (["https://images.test:99999/x"], {}, "Port out of range"),
    "an IPv6 address": (["https://[::1]/x"], {}, "a host with a name"),
    "allowed beside a file": (["README.md", "--allow", "images.test"], {}, "--allow is for images at https://"),
    "allowed is no network": (["https://images.test/x", "--allow", "10.0.0.1/8"], {}, "--allow takes a host or a network"),
    "allowed is an address": (["https://images.test/x", "--allow", "https://b.test/"], {}, "--allow takes a host or a network"),
    "no stores": (["s3://images/x"], {"IMAGE_COMMONS_S3_STORES": "[]"}, "next: name it in IMAGE_COMMONS_S3_STORES"),
    "another bucket": (["s3://other/x"], {}, "no store is named for this bucket and key"),
    "settings": (["s3://images/x"], {"IMAGE_COMMONS_SPOOL_BYTES_MAX": "many"}, "IMAGE_COMMONS_SPOOL_BYTES_MAX: Input should be"),
    "no spool": (["s3://images/x"], {"IMAGE_COMMONS_SPOOL": "/no/such"}, "IMAGE_COMMONS_SPOOL: No such file or directory"),
}


@pytest.mark.parametrize("kind", NOT_BEGUN)
async def test_what_is_not_begun(world: World, kind: str) -> None:
    arguments, variables, reason = NOT_BEGUN[kind]
    world.variables |= variables
    assert reason in await world.refused(*arguments)
    assert world.server.requests == []


async def test_a_terminal_sees_how_far_it_is(world: World) -> None:
    ours, theirs = pty.openpty()
    go_on = asyncio.Event()
    usual = world.server._send

    async def send(writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.headers["content-length"] != "1":
            await go_on.wait()
        return await usual(writer, reply)

    world.server._send = send  # type: ignore[method-assign]
    async with world.started(world.url(), *LOOPBACK, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while f"fetching 0 bytes of {size_text(len(world.server.content))}" not in seen.decode():
            seen += await asyncio.to_thread(os.read, ours, 65536)
        go_on.set()
        # A terminal that nobody writes to any more ends with an error.
        with suppress(OSError):
            while True:
                seen += await asyncio.to_thread(os.read, ours, 65536)
        assert await process.wait() == 0
    os.close(ours)
    assert f"PASSED  {world.url()}" in seen.decode().rpartition("\x1b[2K")[2]


async def test_an_interrupted_fetch_leaves_nothing(world: World) -> None:
    asked = asyncio.Event()

    def twist(request: Request, reply: Reply) -> Reply:
        if request.span == (0, 0):
            return reply
        asked.set()
        return replace(reply, body_pause_s=1)

    world.server.twist = twist
    pipe = asyncio.subprocess.PIPE
    async with world.started(world.url(), *LOOPBACK, stdout=pipe, stderr=pipe) as process:
        await asked.wait()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, out) == (130, b"")
        assert b"Traceback" not in err
