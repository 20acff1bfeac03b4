"""Whole checks, from the job to its result, of images that are fetched."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.checker.handlers.check_file import CHANGED
from services.checker.settings import CheckerSettings
from shared.contracts.checks import CheckCancelled
from shared.contracts.report import Report
from shared.settings import SettingsError
from tests.checker.desk import Desk, job
from tests.checker.inspectors import Halt, inspector
from tests.checker.sources.conftest import Authority
from tests.checker.sources.server import ObjectServer, Reply, Request
from tests.messaging.cluster import eventually

pytestmark = pytest.mark.timeout(60)
SECRET = "s3cr3t/k3y"
Serve = Callable[..., Awaitable[ObjectServer]]


@pytest.fixture
async def server(serve: Serve, system_disk: Path, authority: Authority) -> ObjectServer:
    return await serve(system_disk.read_bytes(), authority.server)


@pytest.fixture
def fetching(make_desk: Callable[..., Desk], server: ObjectServer, authority: Authority, folder: Path) -> Callable[..., Desk]:
    """A function that returns a checker that fetches from the server, by both ways."""
    store = {
        "name": "main",
        "endpoint": f"https://localhost:{server.port}",
        "buckets": ["images"],
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": SECRET,
        "ca_file": authority.file,
    }
    https = {"hosts": [f"localhost:{server.port}"], "networks": ["127.0.0.0/8", "::1/128"], "ca_file": authority.file}
    return lambda **different: make_desk(s3_stores=[store], https_sources=https, spool=folder, **different)


def location(server: ObjectServer, scheme: str) -> str:
    return "s3://images/one.qcow2" if scheme == "s3" else f"https://localhost:{server.port}/one.qcow2"


@pytest.mark.parametrize("scheme", ["s3", "https"])
async def test_a_good_image(fetching: Callable[..., Desk], server: ObjectServer, folder: Path, scheme: str) -> None:
    digest = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
    desk = fetching()
    for number, version in enumerate((server.etag, digest)):
        body = job(f"check-{number}", location=location(server, scheme), content_version=version, format="qcow2")
        told = (await desk.check(body)).data
        assert (told["complete"], told.get("error")) == (True, None)
        assert (told["image_digest"], told["content_version"]) == (digest, version)
        document = await desk.database.pool.fetchval("SELECT document FROM reports WHERE report_id = $1", told["report_id"])
        report = Report.model_validate_json(document)
        assert (report.image.digest, report.image.size_bytes) == (digest, len(server.content))
        assert SECRET.encode() not in document
    assert list(folder.iterdir()) == []


async def test_progress_of_fetching_is_told(fetching: Callable[..., Desk], server: ObjectServer) -> None:
    go_on = asyncio.Event()
    usual = server._send

    async def send(writer: asyncio.StreamWriter, reply: Reply) -> bool:
        if reply.headers["content-length"] != "1":
            await go_on.wait()
        return await usual(writer, reply)

    server._send = send  # type: ignore[method-assign]
    desk = fetching(renew_every_s=0.02)
    checking = asyncio.create_task(desk.check(job(location="s3://images/one.qcow2", content_version=server.etag)))
    (told,) = await eventually(desk.told)
    assert (told.type, told.data["phase"], told.data["done"]) == ("check.progressed", "fetch", 0)
    assert told.data["total"] == len(server.content)
    go_on.set()
    assert (await checking).data["complete"]


@pytest.mark.parametrize("scheme", ["s3", "https"])
async def test_other_content_is_not_looked_at(
    fetching: Callable[..., Desk], server: ObjectServer, tmp_path: Path, scheme: str
) -> None:
    begun = tmp_path / "begun"
    desk = fetching(inspector_command=inspector(tmp_path, f"open({str(begun)!r}, 'w')"))
    told = await desk.check(job(location=location(server, scheme), content_version='"other"'))
    assert told.error == CHANGED
    assert not begun.exists()
    assert await desk.count("reports") == 0


async def test_content_of_another_digest(fetching: Callable[..., Desk], server: ObjectServer) -> None:
    told = await fetching().check(job(location="s3://images/one.qcow2", content_version=f"sha256:{'0' * 64}"))
    assert told.error == CHANGED
    assert told.data["image_digest"] == f"sha256:{hashlib.sha256(server.content).hexdigest()}"


@pytest.mark.parametrize("scheme", ["s3", "https"])
@pytest.mark.parametrize("change", ["other content", "gone"])
async def test_what_changes_while_it_is_checked(
    fetching: Callable[..., Desk], server: ObjectServer, tmp_path: Path, scheme: str, change: str
) -> None:
    halt = Halt(tmp_path)
    desk = fetching(inspector_command=inspector(tmp_path, halt.program))
    checking = asyncio.create_task(desk.check(job(location=location(server, scheme), content_version=server.etag)))
    await halt.reached()
    if change == "gone":
        server.twist = lambda _request, _reply: Reply(404, {"content-length": "0"})
    else:
        server.content += b"more"
    halt.go_on()
    told = await checking
    expected = (
        CHANGED if change != "gone" else "it could not be seen whether the image's content changed while it was being checked: "
    )
    assert told.error.startswith(expected)
    assert told.data["image_digest"]


async def test_what_cannot_be_fetched_ends_with_the_reason(
    fetching: Callable[..., Desk], server: ObjectServer, folder: Path
) -> None:
    desk = fetching(check_timeout_s=1)
    told = await desk.check(job(location="s3://others/one.qcow2", content_version="x"))
    assert told.error == "s3://others/one.qcow2: no store is named for this bucket and key"

    def slow(request: Request, reply: Reply) -> Reply:
        return replace(reply, body_pause_s=0 if request.span == (0, 0) else 0.1)

    server.twist = slow
    told = await desk.check(job("check-2", location="s3://images/one.qcow2", content_version=server.etag))
    assert "it was not fetched in the time of a check: 0 of" in told.error
    server.twist = lambda _request, reply: reply
    folder.rmdir()
    told = await desk.check(job("check-3", location="s3://images/one.qcow2", content_version=server.etag))
    assert told.error == "s3://images/one.qcow2: the checker cannot keep what it fetches: ask the operator"
    folder.mkdir()
    assert SECRET not in json.dumps(told.data)


async def test_a_cancelled_check_fetches_no_more(fetching: Callable[..., Desk], server: ObjectServer) -> None:
    server.twist = lambda request, reply: replace(reply, body_pause_s=0 if request.span == (0, 0) else 0.05)
    desk = fetching(renew_every_s=0.02)
    await desk.ask(job(location="s3://images/one.qcow2", content_version=server.etag))
    turn = asyncio.create_task(desk.turn())
    await eventually(desk.told)
    await desk.ask(CheckCancelled(check_id="check-1", image_id="img-1"), sequence=2)
    assert await asyncio.wait_for(turn, 20)
    assert desk.workers._sources["s3"]._spool._used_bytes == 0  # type: ignore[attr-defined]


STORE = {"name": "main", "endpoint": "https://s3.example", "buckets": ["images"]}
BAD: list[tuple[dict[str, object], str]] = [
    ({"s3_stores": [STORE]}, "need spool"),
    ({"https_sources": {"hosts": ["images.example"]}}, "need spool"),
    ({"s3_stores": [STORE, {**STORE, "name": "second"}]}, "bucket images is in the stores main and second"),
    ({"s3_stores": [{**STORE, "endpoint": "http://s3.example"}]}, "allow_http"),
    ({"s3_stores": [{**STORE, "endpoint": "https://me:pw@s3.example"}]}, "no user, path or query"),
    ({"s3_stores": [{**STORE, "endpoint": "https://s3.example/path"}]}, "no user, path or query"),
    ({"s3_stores": [{**STORE, "endpoint": "s3.example"}]}, "no user, path or query"),
    ({"s3_stores": [{**STORE, "buckets": []}]}, "at least 1 item"),
    ({"s3_stores": [{**STORE, "buckets": ["No"]}]}, "3 to 63"),
    ({"s3_stores": [{**STORE, "access_key_id": "x"}]}, "go together"),
    ({"s3_stores": [{**STORE, "access_key_id": "x", "secret_access_key": SECRET, "credentials_file": "/x"}]}, "not both"),
    ({"s3_stores": [{**STORE, "secret": SECRET}]}, "Extra inputs"),
    ({"https_sources": {"hosts": ["https://images.example"]}}, "without a scheme"),
    ({"https_sources": {"hosts": ["Images.example"]}}, "lower case"),
    ({"https_sources": {"hosts": ["*"]}}, "without a scheme"),
    ({"https_sources": {"networks": ["10.0.0.1/8"]}}, "not a valid IPv4 network"),
]


@pytest.mark.parametrize(("given", "reason"), BAD)
def test_settings_that_say_no_source(given: dict[str, object], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"IMAGE_COMMONS_{name.upper()}", json.dumps(value))
    with pytest.raises(SettingsError) as caught:
        CheckerSettings.from_environment()
    assert reason in str(caught.value)
    assert not [word for word in (SECRET, "pw@") if word in str(caught.value)]


@pytest.mark.parametrize("missing", ["spool", "s3", "https"])
def test_what_is_not_there_at_the_start_is_named(make_desk: Callable[..., Desk], folder: Path, missing: str) -> None:
    gone = folder / "gone"
    given: dict[str, dict[str, object]] = {
        "spool": {"spool": gone},
        "s3": {"spool": folder, "s3_stores": [{**STORE, "ca_file": gone}]},
        "https": {"spool": folder, "https_sources": {"hosts": ["images.example"], "ca_file": gone}},
    }
    names = {"spool": "SPOOL", "s3": "S3_STORES", "https": "HTTPS_SOURCES"}
    with pytest.raises(SettingsError, match=f"IMAGE_COMMONS_{names[missing]}: .*No such file"):
        make_desk(**given[missing])
