"""A real clamd with a signature of our own: its packages are unpacked into the cache and run there, nothing is installed."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.checker.adapters.clamd import ClamdAddress, ClamdSession, TooLargeForClamd, clamd_database
from services.checker.adapters.malware_search import MalwareSearch
from services.checker.handlers.check_file import check_file
from shared.contracts.report import Report
from tests.checker.test_clamd import NEEDLE
from tests.inspector.disks import Root, ext4, item
from tests.inspector.malware import EICAR, PACKERS, SHIPPED
from tests.messaging.cluster import eventually

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "clamav"
PACKAGES = ("clamav-daemon", "libclamav12", "libmspack0")
pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def program() -> Path:
    """The folder that Debian's packages of clamd are unpacked in."""
    CACHE.mkdir(parents=True, exist_ok=True)
    root = CACHE / "root"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            packed, fresh = CACHE / "packages", CACHE / "root.new"
            for folder in (packed, fresh):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            subprocess.run(
                ["apt-get", "-qq", "-o", "Acquire::Retries=3", "download", *PACKAGES], cwd=packed, check=True, capture_output=True
            )
            for package in packed.iterdir():
                subprocess.run(["dpkg-deb", "-x", package, fresh], check=True)
            fresh.rename(root)
    return root


@pytest_asyncio.fixture
async def address(program: Path, tmp_path: Path) -> AsyncIterator[str]:
    """A clamd that knows one signature and takes streams of up to 1 MiB."""
    database = tmp_path / "database"
    database.mkdir()
    (database / "own.ndb").write_text(f"Own-Needle:0:*:{NEEDLE.hex()}\n")
    socket, configuration = tmp_path / "clamd.ctl", tmp_path / "clamd.conf"
    lines = {
        "DatabaseDirectory": database,
        "LocalSocket": socket,
        "Foreground": "yes",
        "StreamMaxLength": "1M",
        "User": "root" if os.geteuid() == 0 else "",
    }
    configuration.write_text("".join(f"{name} {value}\n" for name, value in lines.items() if value))
    (libraries,) = {path.parent for path in program.rglob("libclamav.so.12")}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [program / "usr/sbin/clamd", "-c", configuration],
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
            stdout=log,
            stderr=log,
        )

    async def there() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        return socket.exists()

    try:
        await eventually(there)
        yield f"unix:{socket}"
    finally:
        server.terminate()
        server.wait(30)


async def checked(image: Path, address: str) -> Report:
    descriptor = os.open(image, os.O_RDONLY)
    try:
        return await check_file(descriptor, malware=MalwareSearch((SHIPPED,), ClamdAddress.parse(address)))
    finally:
        os.close(descriptor)


async def test_it_says_what_it_is(address: str) -> None:
    database = await clamd_database(ClamdAddress.parse(address))
    assert (database.name, database.purpose, database.date) == ("clamd", "malware", "unknown")
    assert database.version.count(".") == 2


async def test_one_session_takes_stream_after_stream(address: str) -> None:
    session = await ClamdSession.open(ClamdAddress.parse(address))
    found = []
    for content in (b"fine", NEEDLE, b"fine as well"):
        await session.begin()
        await session.chunk(content)
        found.append(await session.end())
    assert found == [None, "Own-Needle.UNOFFICIAL", None]
    await session.begin()
    with pytest.raises(TooLargeForClamd):
        await _much(session)
    session.close()


async def _much(session: ClamdSession) -> None:
    for _ in range(64):
        await session.chunk(bytes(256 * 1024))
    await session.end()


async def test_what_it_knows_fails_wherever_it_is_packed(address: str, tmp_path: Path) -> None:
    archives = {f"srv/{name}": pack("x", NEEDLE) for name, pack in PACKERS.items() if name in {"zip", "tar.gz", "gzip"}}
    image = ext4(tmp_path / "x.raw", Root({**archives, "srv/plain": NEEDLE, "srv/eicar": EICAR}))
    report = await checked(image, address)
    found = item(report, "Malware")
    assert (found.level, found.code, found.value) == (
        "failed",
        "Malware.Signature",
        ("EICAR_Test_File", "Own-Needle.UNOFFICIAL"),
    )
    assert {one.path for one in found.evidence} == {f"/{path}" for path in archives} | {"/srv/plain", "/srv/eicar"}
    assert [one.name for one in report.databases] == ["image-commons", "clamd"]


async def test_what_it_does_not_know_is_ok_and_what_is_too_large_is_named(address: str, tmp_path: Path) -> None:
    image = ext4(tmp_path / "x.raw", Root({"srv/large": os.urandom(3 << 20), "srv/small": b"x"}), mib=16)
    found = item(await checked(image, address), "Malware")
    assert found.level == "ok"
    assert [(one.path, one.text) for one in found.evidence] == [("/srv/large", "larger than clamd takes (StreamMaxLength)")]
