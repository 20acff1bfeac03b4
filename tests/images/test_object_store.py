"""Images in a real S3-compatible store: fetched whole by versions and tags, what changes refused, rights kept."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.malware_search import MalwareSearch
from services.checker.adapters.sources.answers import FetchLimits
from services.checker.adapters.sources.base import ContentChanged, Opened, Wanted
from services.checker.adapters.sources.configured import S3Store
from services.checker.adapters.sources.opening import FileSource, open_image
from services.checker.adapters.sources.s3 import S3Source
from services.checker.adapters.sources.spool import Spool
from services.checker.handlers.check_file import check_file
from tests.images.object_store import CHECKER, ObjectStore, running
from tests.inspector.disks import ext4, gpt, qcow2
from tests.inspector.malware import SHIPPED

SMALL = bytes(range(256)) * 1000
Open = Callable[[str, str], Opened]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with running(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, image_bytes_max=1 << 30, bytes_max=1 << 30)


@pytest.fixture
def source(store: ObjectStore, spool: Spool, tmp_path: Path) -> Callable[..., S3Source]:
    """A function that returns a source of the store, with the checker's key unless it is given another."""

    def make(key: tuple[str, str] = CHECKER, limits: FetchLimits = FetchLimits(part_bytes=50_000)) -> S3Source:  # noqa: B008
        file = tmp_path / f"{hashlib.sha256(repr(key).encode()).hexdigest()}.ini"
        file.write_text(f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n")
        buckets = ("images", "plain", "private")
        given = S3Store(name="main", endpoint=store.endpoint, allow_http=True, buckets=buckets, credentials_file=file)
        return S3Source((given,), spool, limits)

    return make


async def opened(source: S3Source, location: str, version: str) -> Opened:
    return await open_image({"file": FileSource([]), "s3": source}, Wanted(location, version))


async def content(source: S3Source, location: str, version: str) -> bytes:
    image = await opened(source, location, version)
    try:
        await image.recheck()
        return os.pread(image.descriptor, 1 << 24, 0)
    finally:
        image.close()


@pytest.mark.parametrize("key", ["one.img", "folder/a%20b%2B%25%C3%BC.img", "a-_.~%21%24%26%27%28%29%2A%2C%3B%3D%3A%40.img"])
async def test_an_object_is_fetched(store: ObjectStore, source: Callable[..., S3Source], key: str) -> None:
    etag, version = store.put(f"/images/{key}", SMALL)
    assert await content(source(), f"s3://images/{key}", etag) == SMALL
    assert await content(source(), f"s3://images/{key}?versionId={version}", version) == SMALL


async def test_an_older_version_is_still_there(store: ObjectStore, source: Callable[..., S3Source]) -> None:
    etag, version = store.put("/images/old.img", SMALL)
    store.put("/images/old.img", SMALL[::-1])
    assert await content(source(), f"s3://images/old.img?versionId={version}", version) == SMALL
    assert await content(source(), f"s3://images/old.img?versionId={version}", etag) == SMALL
    with pytest.raises(ContentChanged):
        await content(source(), "s3://images/old.img", etag)


@pytest.mark.parametrize("bucket", ["images", "plain"])
async def test_content_that_changes_meanwhile(
    store: ObjectStore, source: Callable[..., S3Source], monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    etag, _ = store.put(f"/{bucket}/changing.img", SMALL)
    real, parts = Spool.make, 0

    async def make(spool: Spool, size_bytes: int) -> object:
        # After the first look, before the first part.
        nonlocal parts
        parts += 1
        await asyncio.to_thread(store.put, f"/{bucket}/changing.img", SMALL[::-1])
        return await real(spool, size_bytes)

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "make", make)
        with pytest.raises(ContentChanged):
            await content(source(), f"s3://{bucket}/changing.img", etag)
    assert parts == 1
    etag, _ = store.put(f"/{bucket}/changing.img", SMALL)
    image = await opened(source(), f"s3://{bucket}/changing.img", etag)
    try:
        await image.recheck()
        store.put(f"/{bucket}/changing.img", b"other")
        with pytest.raises(ContentChanged):
            await image.recheck()
    finally:
        image.close()


async def test_what_the_store_refuses(store: ObjectStore, source: Callable[..., S3Source], spool: Spool) -> None:
    store.put("/private/one.img", SMALL)
    store.put("/images/empty.img", b"")
    unknown = "0" * 32
    cases = [
        (source(), "s3://images/missing.img", "x", "no such object"),
        (source(), f"s3://images/one.img?versionId={unknown}", unknown, "no such"),
        (source(), "s3://private/one.img", "x", "may not read the object"),
        (source(), "s3://images/empty.img", f"sha256:{'0' * 64}", "the image is empty"),
        (source(("AKNOBODY", "x")), "s3://images/missing.img", "x", "ask the operator"),
        (source(("AKCHECKER", "wrong")), "s3://images/missing.img", "x", "ask the operator"),
    ]
    for given, location, version, reason in cases:
        with pytest.raises(LocationRefused, match=reason):
            await content(given, location, version)
    assert spool._used_bytes == 0


async def test_a_system_disk_is_checked(store: ObjectStore, source: Callable[..., S3Source], tmp_path: Path) -> None:
    disk = qcow2(tmp_path / "good.qcow2", gpt(tmp_path / "good.raw", ext4(tmp_path / "root.ext4")))
    etag, _ = store.put("/images/good.qcow2", disk.read_bytes())
    image = await opened(source(), "s3://images/good.qcow2", etag)
    try:
        report = await check_file(image.descriptor, content_version=image.file_version, malware=MalwareSearch((SHIPPED,)))
    finally:
        image.close()
    assert (report.complete, report.error) == (True, None)
    assert report.image.digest == f"sha256:{hashlib.sha256(disk.read_bytes()).hexdigest()}"


async def test_a_large_object(store: ObjectStore, source: Callable[..., S3Source], record_property: Callable[..., None]) -> None:
    large = os.urandom(1 << 20) * 64
    etag, _ = store.put("/images/large.img", large)
    began = time.monotonic()
    image = await opened(source(limits=FetchLimits()), "s3://images/large.img", etag)
    record_property("bytes_per_s", round(len(large) / (time.monotonic() - began)))
    digest = hashlib.sha256()
    for position in range(0, len(large), 1 << 24):
        digest.update(os.pread(image.descriptor, 1 << 24, position))
    image.close()
    assert digest.digest() == hashlib.sha256(large).digest()
