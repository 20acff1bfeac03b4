"""What NTFS has still to write, or Windows to wake up to: judged as ntfs-3g's own probe judges the same image."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inspector.disks import item, report_of, tool, verdict
from tests.inspector.memory import facts_of
from tests.inspector.windows_disks import ntfs as windows_ntfs
from tests.inspector.windows_disks import on_gpt, put

from filesystems import open_file_system  # isort: skip
from part import Part  # isort: skip

assert facts_of
LOG_BYTES = 2 * 2**20
"""Of a journal as mkfs.ntfs makes it for a small volume."""
NOBODY, CLEAN = 0xFFFF, 0x0002
FINE, HIBERNATED, IN_USE = 0, 14, 15
"""The exit codes of `ntfs-3g.probe --readwrite`."""


def page(change: int, in_use: int, flags: int = 0, *, size: int = 4096, magic: bytes = b"RSTR", major: int = 1) -> bytes:
    """Return a restart page; `in_use` is the first client that is."""
    made, sectors = bytearray(size), size // 512
    area_at = max(0x30, (0x1E + 2 * (sectors + 1) + 7) // 8 * 8)
    struct.pack_into("<4sHHQIIHHH", made, 0, magic, 0x1E, sectors + 1, 0, size, size, area_at, major % 2, major)
    free = 0 if in_use == NOBODY else NOBODY
    struct.pack_into("<QHHHHIHHQ", made, area_at, change, 1, free, in_use, flags, 45, 0xE0, 0x40, LOG_BYTES)
    struct.pack_into("<QQHHHxxxxxxI8s", made, area_at + 0x40, change, change, NOBODY, NOBODY, 0, 8, "NTFS".encode("utf-16-le"))
    mark = b"\x07\x00"
    made[0x1E:0x20] = mark
    for end in range(512, size + 1, 512):
        made[end - 2 : end] = mark
    return bytes(made)


def torn(whole: bytes) -> bytes:
    """Return a page whose last sector is that of an earlier writing."""
    return whole[:-2] + b"\x06\x00"


LOGS = {
    "empty": (b"", FINE),
    "nobody uses it": (page(5, NOBODY) * 2, FINE),
    "marked clean": (page(5, 0, CLEAN) * 2, FINE),
    "in use": (page(5, 0) * 2, IN_USE),
    "the newer page is clean": (page(5, 0) + page(6, NOBODY), FINE),
    "the newer page is in use": (page(6, 0) + page(5, NOBODY), IN_USE),
    "the first page alone": (page(5, NOBODY), FINE),
    "the first page is torn": (torn(page(7, NOBODY)) + page(5, NOBODY), IN_USE),
    "the second page is torn": (page(5, NOBODY) + torn(page(7, NOBODY)), IN_USE),
    "damaged": (b"\0" * 8192, IN_USE),
    "left by chkdsk": (page(5, NOBODY, magic=b"CHKD") * 2, FINE),
    "left by chkdsk in the midst": (page(5, 0, magic=b"CHKD") * 2, IN_USE),
    "of a fast start-up": (page(5, 0, CLEAN, major=2) * 2, HIBERNATED),
}


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an NTFS with nothing in it."""
    path = tmp_path_factory.mktemp("ntfs") / "image"
    tool("truncate", "-s", "8M", path)
    tool("mkfs.ntfs", "-q", "-F", path)
    return path


def with_log(image: Path, start: bytes) -> Path:
    """Write a journal that begins with `start`, and is empty after it."""
    source = image.with_suffix(".log")
    source.write_bytes(start.ljust(LOG_BYTES, b"\xff"))
    tool("ntfscp", "-q", "-f", "-i", image, source, "2")
    return image


def unfinished(image: Path) -> str | None:
    """Return what is said of the file system in `image`."""
    with image.open("rb") as file:
        files = open_file_system(Part(file, 0, image.stat().st_size))
        assert files is not None
        return files.unfinished


def probed(image: Path) -> int:
    """Return what ntfs-3g says of mounting it."""
    return subprocess.run(["ntfs-3g.probe", "--readwrite", image], capture_output=True, check=False).returncode


@pytest.mark.parametrize(("log", "wanted"), LOGS.values(), ids=LOGS.keys())
def test_a_journal_counts_as_ntfs_3g_counts_it(volume: Path, tmp_path: Path, log: bytes, wanted: int) -> None:
    image = with_log(Path(shutil.copy(volume, tmp_path)), log)
    assert probed(image) == wanted
    assert (unfinished(image) is None) == (wanted == FINE)


@pytest.mark.parametrize(("start", "wanted"), [(b"hibr", HIBERNATED), (b"HIBR", HIBERNATED), (b"wake", FINE), (bytes(4), FINE)])
def test_a_hibernated_windows_counts_as_ntfs_3g_counts_it(volume: Path, tmp_path: Path, start: bytes, wanted: int) -> None:
    image = Path(shutil.copy(volume, tmp_path))
    put(image, "/Hiberfil.txt", b"hibr")
    put(image, "/hiberfil.sys", start.ljust(4096, b"\0"))
    assert probed(image) == wanted
    assert ("hibernated" in (unfinished(image) or "")) == (wanted == HIBERNATED)


@pytest.mark.parametrize("size", [512, 1024, 32768])
def test_pages_of_every_size(volume: Path, tmp_path: Path, size: int) -> None:
    for number, (in_use, said) in enumerate(((NOBODY, True), (0, False))):
        image = with_log(Path(shutil.copy(volume, tmp_path / str(number))), page(5, in_use, size=size) * 2)
        assert (unfinished(image) is None) == said


WRONG: dict[str, Callable[[bytearray], None]] = {
    "a page of 2^32 bytes": lambda made: struct.pack_into("<I", made, 16, 0xFFFFFFFF),
    "a page of no bytes": lambda made: struct.pack_into("<I", made, 16, 0),
    "an area beyond the first sector": lambda made: struct.pack_into("<H", made, 24, 508),
    "an area within the header": lambda made: struct.pack_into("<H", made, 24, 8),
    "an update sequence beyond the page": lambda made: struct.pack_into("<H", made, 4, 0xFFFE),
    "an update sequence of no words": lambda made: struct.pack_into("<H", made, 6, 0),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_page_that_makes_no_sense_is_not_taken_for_clean(
    volume: Path, tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    made = bytearray(page(5, NOBODY))
    change(made)
    assert "damaged" in (unfinished(with_log(Path(shutil.copy(volume, tmp_path)), bytes(made) * 2)) or "")


async def test_a_windows_that_was_not_shut_down_is_blocked(tmp_path: Path) -> None:
    system = windows_ntfs(tmp_path / "ntfs")
    assert item(await report_of(on_gpt(tmp_path / "clean", system)), "SystemImage").level == "ok"
    report = await report_of(on_gpt(tmp_path / "disk", with_log(system, page(5, 0) * 2)))
    found = item(report, "SystemImage")
    assert (found.level, found.code) == ("unsupported", "SystemImage.JournalNotReplayed")
    assert (found.evidence[0].text or "").startswith("partition 3 (ntfs): its journal ($LogFile) was in use")
    assert "shutdown /s" in (found.advice or "")
    assert verdict(report).outcome == "undetermined"
