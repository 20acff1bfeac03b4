"""The spool: bounded in all, waited for, empty in the end; a full disk is said."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources import spool as module
from services.checker.adapters.sources.spool import NoRoom, Spool

MIB = 1 << 20


async def test_what_is_written_is_read_and_gone_afterwards(folder: Path, spool: Spool) -> None:
    file = await spool.make(3 * 4096)
    file.write(4096, b"x" * 4096)
    file.write(0, bytes(4096))
    file.only_readable()
    assert os.pread(file.descriptor, 20000, 0) == bytes(4096) + b"x" * 4096 + bytes(4096)
    # Zeros are not stored.
    assert os.fstat(file.descriptor).st_blocks * 512 == 4096
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(file.descriptor, b"x")
    assert list(folder.iterdir()) == []
    file.close()
    file.close()


async def test_a_thread_that_writes_on_meets_no_other_file(spool: Spool, tmp_path: Path) -> None:
    file = await spool.make(4096)
    number = file.descriptor
    file.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    try:
        assert other == number
        file.write(0, b"too late")
        assert os.fstat(other).st_size == 0
    finally:
        os.close(other)


async def test_an_image_waits_until_there_is_room(folder: Path) -> None:
    spool = Spool(folder, image_bytes_max=2 * MIB, bytes_max=3 * MIB)
    first, second = await spool.make(2 * MIB), await spool.make(MIB)
    waiting = asyncio.create_task(spool.make(2 * MIB))
    second.close()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    first.close()
    (await waiting).close()
    # Who gives up waiting takes nothing along.
    held = await spool.make(2 * MIB)
    waiting = asyncio.create_task(spool.make(2 * MIB))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.close()
    assert spool._used_bytes == 0


async def test_the_largest_image(folder: Path) -> None:
    for image_bytes_max, bytes_max in ((MIB, 9 * MIB), (9 * MIB, MIB)):
        spool = Spool(folder, image_bytes_max=image_bytes_max, bytes_max=bytes_max)
        (await spool.make(MIB)).close()
        with pytest.raises(LocationRefused, match=f"the image has {MIB + 1} bytes, more than the {MIB} that the checker fetches"):
            await spool.make(MIB + 1)


async def test_more_than_the_disk_has(folder: Path) -> None:
    spool = Spool(folder, image_bytes_max=1 << 60, bytes_max=1 << 60)
    with pytest.raises(NoRoom, match="no room for the image's"):
        await spool.make(1 << 59)
    assert spool._used_bytes == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB; in memory where this account may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=False, capture_output=True)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_that_fills_up_meanwhile(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(small_disk, image_bytes_max=4 * MIB, bytes_max=4 * MIB)
    file = await spool.make(900 << 10)
    if not os.path.ismount(small_disk):
        monkeypatch.setattr(module.os, "pwrite", full)
    try:
        (small_disk / "others").write_bytes(b"x" * (500 << 10))
        with pytest.raises(NoRoom, match="no room for the image's 921600 bytes"):
            file.write(0, b"x" * (900 << 10))
    finally:
        file.close()


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


async def test_a_file_system_without_nameless_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: object, flags: int, *more: object, **named: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module.os, "open", refuse)
    file = await Spool(folder, image_bytes_max=MIB, bytes_max=MIB).make(4096)
    file.write(0, b"content")
    assert list(folder.iterdir()) == []
    file.only_readable()
    assert os.pread(file.descriptor, 7, 0) == b"content"
    file.close()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            Spool(path, image_bytes_max=MIB, bytes_max=MIB).probe()
