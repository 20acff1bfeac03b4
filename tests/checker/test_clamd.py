"""clamd's word on an image: hits fail, silence is never fine, and it hears nothing but streams."""

import asyncio
import os
import struct
import time
from pathlib import Path

import pytest

from services.checker.adapters import clamd
from services.checker.adapters.clamd import ClamdAddress, ClamdError, ClamdSession, clamd_database
from services.checker.adapters.clamd_relay import ClamdFound, ClamdRelay
from services.checker.adapters.malware_search import MalwareSearch
from services.checker.handlers.check_file import check_file
from services.checker.settings import CheckerSettings
from shared.contracts.report import Report
from tests.checker.clamd import VERSION, FakeClamd, listening
from tests.inspector.disks import Root, ext4, item
from tests.inspector.malware import EICAR, SHIPPED

NEEDLE = b"a needle in it"


@pytest.fixture(scope="module")
def needle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with a file that only clamd knows, and one of more than a MiB."""
    return ext4(tmp_path_factory.mktemp("needle") / "x.raw", Root({"srv/x": NEEDLE, "srv/large": b"x" * (2 << 20)}))


async def checked(image: Path, address: str, file_bytes: int = 100 << 20) -> Report:
    descriptor = os.open(image, os.O_RDONLY)
    try:
        return await check_file(descriptor, malware=MalwareSearch((SHIPPED,), ClamdAddress.parse(address), file_bytes))
    finally:
        os.close(descriptor)


async def test_what_clamd_finds_fails(needle: Path, tmp_path: Path) -> None:
    fake = FakeClamd({NEEDLE: "Needle-1"}, most=8 << 20)
    async with listening(fake, tmp_path / "clamd") as address:
        report = await checked(needle, address)
    found = item(report, "Malware")
    assert (found.level, found.code, found.value) == ("failed", "Malware.Signature", ("Needle-1",))
    assert [(one.path, one.text) for one in found.evidence] == [("/srv/x", "clamd: Needle-1")]
    assert report.complete
    assert [(one.name, one.version, one.date) for one in report.databases if one.name == "clamd"] == [
        ("clamd", "1.4.3/27567", "2025-03-05")
    ]
    assert {*fake.commands} == {b"zVERSION", b"zIDSESSION", b"zINSTREAM"}
    # One for its version, and one for each process that had a file.
    assert fake.connections in {2, 3}
    assert b"x" * (2 << 20) in fake.streams


async def test_what_clamd_does_not_know_is_ok(needle: Path, tmp_path: Path) -> None:
    fake = FakeClamd(most=8 << 20)
    async with listening(fake, tmp_path / "clamd") as address:
        found = item(await checked(needle, address), "Malware")
    assert (found.level, found.evidence) == ("ok", ())
    assert NEEDLE in fake.streams


async def test_both_find_something(tmp_path: Path) -> None:
    image = ext4(tmp_path / "x.raw", Root({"srv/x": NEEDLE, "srv/y": EICAR}))
    async with listening(FakeClamd({NEEDLE: "Needle-1"}), tmp_path / "clamd") as address:
        found = item(await checked(image, address), "Malware")
    assert (found.level, found.value) == ("failed", ("EICAR_Test_File", "Needle-1"))
    assert {one.path for one in found.evidence} == {"/srv/x", "/srv/y"}


@pytest.mark.parametrize(("file_bytes", "text"), [(1 << 20, "too large to be given"), (100 << 20, "StreamMaxLength")])
async def test_a_file_that_is_too_large_for_clamd_is_named(needle: Path, tmp_path: Path, file_bytes: int, text: str) -> None:
    fake = FakeClamd({NEEDLE: "Needle-1"}, most=1 << 20)
    async with listening(fake, tmp_path / "clamd") as address:
        found = item(await checked(needle, address, file_bytes), "Malware")
        fake.finds.clear()
        clean = item(await checked(needle, address, file_bytes), "Malware")
    assert (found.level, found.value) == ("failed", ("Needle-1",))
    assert clean.level == "ok"
    assert any(one.path == "/srv/large" and text in str(one.text) for one in clean.evidence)


@pytest.mark.parametrize("fault", ["closes", "error", "nonsense", "endless", "hangs"])
async def test_a_clamd_that_fails_leaves_the_item_unjudged(
    needle: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clamd, "REPLY_S", 0.5)
    async with listening(FakeClamd(most=8 << 20, fault=fault), tmp_path / "clamd") as address:
        report = await checked(needle, address)
    found = item(report, "Malware")
    assert (found.level, found.code, found.value) == ("unsupported", "Malware.ClamdUnavailable", None)
    assert "\x1b" not in str(found.advice)
    assert report.complete


@pytest.mark.parametrize("version", ["hello", "ClamAV", "x" * 100_000])
async def test_what_is_no_clamd_is_not_fed(needle: Path, tmp_path: Path, version: str) -> None:
    fake = FakeClamd(version=version)
    async with listening(fake, tmp_path / "clamd") as address:
        found = item(await checked(needle, address), "Malware")
    assert (found.level, found.code) == ("unsupported", "Malware.ClamdUnavailable")
    assert {*fake.commands} == {b"zVERSION"}


async def test_no_clamd_at_all(needle: Path, tmp_path: Path) -> None:
    report = await checked(needle, f"unix:{tmp_path / 'nothing'}")
    found = item(report, "Malware")
    assert (found.level, found.code) == ("unsupported", "Malware.ClamdUnavailable")
    assert "No such file or directory" in str(found.advice)
    assert [one.name for one in report.databases] == ["image-commons"]


@pytest.mark.parametrize(
    ("said", "version", "date"),
    [(VERSION, "1.4.3/27567", "2025-03-05"), ("ClamAV 1.0.7", "1.0.7", "unknown"), ("ClamAV 1.0.7/5/soon", "1.0.7/5", "unknown")],
)
async def test_what_clamd_says_of_itself(tmp_path: Path, said: str, version: str, date: str) -> None:
    async with listening(FakeClamd(version=said), tmp_path / "clamd") as address:
        database = await clamd_database(ClamdAddress.parse(address))
    assert (database.version, database.date) == (version, date)


@pytest.mark.parametrize("text", ["", "unix:", "unix:relative", "tcp:host", "tcp::1", "tcp:host:0", "tcp:host:x", "http://x:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address of clamd"):
        ClamdAddress.parse(text)
    with pytest.raises(ValueError, match="is no address of clamd"):
        CheckerSettings.model_validate({"clamd": text})


@pytest.mark.parametrize("text", ["unix:/run/clamav/clamd.ctl", "tcp:host:3310", "tcp:::1:3310"])
def test_an_address_is_said_as_it_was_given(text: str) -> None:
    assert str(ClamdAddress.parse(text)) == text


def path_of(name: bytes, kind: bytes = b"F") -> bytes:
    return kind + struct.pack(">I", len(name)) + name


FRAMES = {
    "nothing": (b"", "the inspector ended before"),
    "no end": (path_of(b"/x") + struct.pack(">I", 3) + b"abc" + bytes(4), "the inspector ended before"),
    "half a file": (path_of(b"/x") + struct.pack(">I", 3) + b"a", "the inspector ended before"),
    "an unknown frame": (b"X", "makes no sense"),
    "an endless path": (b"F" + struct.pack(">I", 2**31) + b"x", "are allowed"),
    "an endless chunk": (path_of(b"/x") + struct.pack(">I", 2**31), "are allowed"),
    "a file given up": (path_of(b"/x") + b"\xff" * 4 + b"E", None),
    "nothing to scan": (b"E", None),
}


@pytest.mark.parametrize(("frames", "problem"), FRAMES.values(), ids=FRAMES.keys())
async def test_what_comes_out_of_the_pipe(frames: bytes, problem: str | None, tmp_path: Path) -> None:
    async with listening(FakeClamd(), tmp_path / "clamd") as address:
        found = await relayed(address, frames)
    assert (found.problem is None) == (problem is None), found
    assert (problem or "") in (found.problem or "")


async def test_a_hostile_path_is_shown_as_text(tmp_path: Path) -> None:
    frames = path_of(b"/\x1b[31m\n\xff<script>") + struct.pack(">I", 3) + b"abc" + bytes(4) + b"E"
    async with listening(FakeClamd({b"abc": "Abc"}), tmp_path / "clamd") as address:
        found = await relayed(address, frames)
    assert found.hits == [("/?[31m?\\xff<script>", "Abc")]


async def relayed(address: str, frames: bytes) -> ClamdFound:
    relay = ClamdRelay(ClamdAddress.parse(address), 1)
    os.write(relay.descriptors[0], frames)
    relay.started()
    try:
        return await relay.finish()
    finally:
        await relay.close()


async def test_an_inspector_that_is_not_started_leaves_nothing_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    relay = ClamdRelay(ClamdAddress(path=str(tmp_path / "x")), 2)
    await relay.close()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


async def test_a_slow_clamd_holds_nobody_up_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clamd, "REPLY_S", 0.2)
    began = time.monotonic()
    async with listening(FakeClamd(fault="is silent"), tmp_path / "clamd") as address:
        with pytest.raises(ClamdError, match="no answer"):
            await clamd_database(ClamdAddress.parse(address))
    assert time.monotonic() - began < 5


async def test_a_session_that_cannot_begin_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`listening` waits until its side has heard of it."""
    fake = FakeClamd()

    async def refused(_: ClamdSession, data: bytes) -> None:
        async with asyncio.timeout(10):
            while not fake.open:
                await asyncio.sleep(0.001)
        raise ClamdError(data.decode())

    monkeypatch.setattr(ClamdSession, "_send", refused)
    async with listening(fake, tmp_path / "clamd") as address:
        with pytest.raises(ClamdError, match="zIDSESSION"):
            await ClamdSession.open(ClamdAddress.parse(address))
    assert fake.commands == []
