"""Parsers run after confinement without a file being opened; hostile file systems end in time, whatever is asked of them."""

import lzma
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.checker.adapters.inspector_process import PROGRAM
from tests.inspector.disks import Root, report_of, tool, verdict
from tests.inspector.memory import facts_of

from filesystems import open_file_system  # isort: skip
from findings import Unreadable, attempt  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

assert facts_of
DATA = Path(__file__).with_name("data")
READ_ALL = """
import os, sys
sys.path.insert(0, sys.argv[1])
import items
from parsers import keep_at_hand
keep_at_hand()
from containers import look
from facts import gather
from tree import Tree
descriptor, opened = os.open(sys.argv[2], os.O_RDONLY), []
hear = lambda event, words: opened.append(words[0]) if event in {"open", "os.listdir"} and type(words[0]) is not int else None
sys.addaudithook(hear)
facts, count = gather(descriptor, look(descriptor, None), lambda *_: None), 0
for volume in facts.volumes:
    for found, said in Tree(volume.files).walk() if volume.files else ():
        found.files.xattrs(found.node)
        count += len(found.open().read(said.size)) if said.kind == 0o100000 else 0
print(facts.volumes[0].kind, count > 5000, facts.unreadable, facts.root_reasons, opened)
"""


def xfs(path: Path) -> Path:
    path.write_bytes(lzma.decompress((DATA / "xfs.img.xz").read_bytes()))
    return path


def btrfs(path: Path) -> Path:
    path.write_bytes(lzma.decompress((DATA / "btrfs.img.xz").read_bytes()))
    return path


def ext4(path: Path) -> Path:
    folder = path.with_name("ext4.root")
    Root({"etc/text": b"text" * 5000}).write(folder)
    tool("truncate", "-s", "8M", path)
    tool("mke2fs", "-q", "-t", "ext4", "-d", folder, path)
    shutil.rmtree(folder)
    return path


def ntfs(path: Path) -> Path:
    text = path.with_name("text")
    text.write_bytes(b"text of a file " * 9000)
    tool("truncate", "-s", "16M", path)
    tool("mkfs.ntfs", "-q", "-F", "-C", path)
    for number in range(40):
        tool("ntfscp", "-q", path, text, f"a rather long name of a file, {number}")
    return path


def fat(path: Path) -> Path:
    text = path.with_name("text")
    text.write_bytes(b"text of a file " * 900)
    tool("mkfs.vfat", "-F", "16", "-s", "1", "-C", path, "8192")
    tool("mcopy", "-i", path, text, "::a long name.text")
    return path


MAKERS: dict[str, Callable[[Path], Path]] = {"ext4": ext4, "xfs": xfs, "btrfs": btrfs, "ntfs": ntfs, "vfat": fat}


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give an image that a file system fills, made once."""
    known: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in known:
            known[kind] = MAKERS[kind](tmp_path_factory.mktemp(kind) / "image")
        return known[kind]

    return make


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_is_opened_once_the_parsers_are_at_hand(images: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    packed = tmp_path / "disk"
    tool("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", images(kind), packed)
    command = (sys.executable, "-I", "-B", "-c", READ_ALL, str(PROGRAM), str(packed))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{kind} True None [] []\n", "")


class Patched:
    """A file with some bytes changed, and cut at a size, so that no copy is needed."""

    def __init__(self, file: BinaryIO, changes: dict[int, bytes], size: int) -> None:
        self._file, self._changes, self._size, self._at = file, changes, size, 0

    def seek(self, at: int) -> None:
        self._at = at

    def read(self, length: int) -> bytes:
        self._file.seek(self._at)
        found = bytearray(self._file.read(max(0, min(length, self._size - self._at))))
        for at, data in self._changes.items():
            for offset, byte in enumerate(data):
                if 0 <= at + offset - self._at < len(found):
                    found[at + offset - self._at] = byte
        return bytes(found)


def ask_everything(image: Path, changes: dict[int, bytes], *, cut: int | None = None, entries: int = 60) -> list[str]:
    """Open the file system and read what can be read, as items would; returns the codes of what could not."""
    with image.open("rb") as file:
        size = image.stat().st_size if cut is None else cut
        return _ask(Part(Patched(file, changes, size), 0, size), entries)  # type: ignore[arg-type]


def _ask(part: Part, entries: int) -> list[str]:
    codes: list[str] = []

    def note(found: object) -> object:
        codes.extend([found.code] if isinstance(found, Unreadable) else [])
        return found

    files = note(attempt(lambda: open_file_system(part)))
    if files is None or isinstance(files, Unreadable):
        return codes
    walk = Tree(files).walk()  # type: ignore[arg-type]
    for _ in range(entries):
        step = note(attempt(lambda: next(walk, None)))
        if step is None or isinstance(step, Unreadable):
            return codes
        found, said = step  # type: ignore[misc]
        note(attempt(lambda found=found: found.files.xattrs(found.node)))  # type: ignore[misc]
        if said.kind == 0o100000:
            note(attempt(lambda found=found, said=said: found.open().read(min(said.size, 300_000))))  # type: ignore[misc]
        elif said.kind == 0o120000:
            note(attempt(lambda found=found: found.files.link_target(found.node)))  # type: ignore[misc]
    return codes


@pytest.mark.parametrize("kind", MAKERS)
def test_truncated_within_every_header(images: Callable[[str], Path], kind: str) -> None:
    image = images(kind)
    whole = image.stat().st_size
    for size in (3, 11, 90, 511, 513, 1100, 2047, 65_600, 66_000, whole // 2, whole - 4096):
        # Below its magic there is no file system; from there on one that is cut off.
        assert ask_everything(image, {}, cut=size) or size < MAGIC_ENDS[kind], size


MAGIC_ENDS = {"ext4": 1082, "xfs": 4, "btrfs": 65_608, "ntfs": 11, "vfat": 512}
LIES = {
    "xfs blocks of 2^31": ("xfs", 4, struct.pack(">I", 1 << 31)),
    "xfs 2^62 blocks": ("xfs", 8, struct.pack(">Q", 1 << 62)),
    "xfs no groups": ("xfs", 88, struct.pack(">I", 0)),
    "xfs 2^32 groups": ("xfs", 88, struct.pack(">I", 0xFFFFFFFF)),
    "xfs root inode 2^62": ("xfs", 56, struct.pack(">Q", 1 << 62)),
    "xfs inodes of 0": ("xfs", 104, struct.pack(">H", 0)),
    "xfs unknown features": ("xfs", 216, b"\xff\xff\xff\xff"),
    "btrfs nodes of 2^31": ("btrfs", 65536 + 148, struct.pack("<I", 1 << 31)),
    "btrfs 2^62 bytes": ("btrfs", 65536 + 209, struct.pack("<Q", 1 << 62)),
    "btrfs root at 2^62": ("btrfs", 65536 + 80, struct.pack("<Q", 1 << 62)),
    "btrfs chunks in the chunks": ("btrfs", 65536 + 88, struct.pack("<Q", 0)),
    "btrfs seven devices": ("btrfs", 65536 + 136, struct.pack("<Q", 7)),
    "btrfs system chunks": ("btrfs", 65536 + 160, struct.pack("<I", 5000)),
    "ntfs clusters of 0": ("ntfs", 13, b"\0"),
    "ntfs sectors of 0": ("ntfs", 11, b"\0\0"),
    "ntfs 2^62 sectors": ("ntfs", 40, struct.pack("<Q", 1 << 62)),
    "ntfs table at 2^62": ("ntfs", 48, struct.pack("<Q", 1 << 62)),
    "ntfs records of 2^60": ("ntfs", 64, b"\xc4"),
    "fat clusters of 3": ("vfat", 13, b"\3"),
    "fat no tables": ("vfat", 16, b"\0"),
    "fat table of 1": ("vfat", 22, b"\1\0"),
    "ext4 blocks of 2^62": ("ext4", 1024 + 24, struct.pack("<I", 60)),
}


@pytest.mark.parametrize(("kind", "at", "data"), LIES.values(), ids=LIES.keys())
def test_a_super_block_that_lies(images: Callable[[str], Path], kind: str, at: int, data: bytes) -> None:
    began = time.monotonic()
    assert ask_everything(images(kind), {at: data})
    assert time.monotonic() - began < 20


def test_a_fat_that_leads_in_circles(tmp_path: Path) -> None:
    image = fat(tmp_path / "image")
    boot = image.read_bytes()[:64]
    table_at, entries = struct.unpack("<H", boot[14:16])[0] * 512, struct.unpack("<H", boot[22:24])[0] * 256
    circle = struct.pack("<HH", 0xFFF8, 0xFFFF) + b"".join(
        struct.pack("<H", 2 + (number + 1) % 3) for number in range(entries - 2)
    )
    assert ask_everything(image, {}) == []
    assert "FatLoop" in ask_everything(image, {table_at: circle})


def test_a_directory_in_itself_is_walked_once(images: Callable[[str], Path], tmp_path: Path) -> None:
    """An ext4 directory entry that names a directory above it."""
    image = Path(shutil.copy(images("ext4"), tmp_path / "image"))
    tool("debugfs", "-w", "-R", "ln / etc/again", image)
    with image.open("rb") as file:
        files = open_file_system(Part(file, 0, image.stat().st_size))
        assert files is not None
        paths = [found.path for found, _ in Tree(files).walk()]
    assert len(paths) < 100
    assert "/etc/again" in paths


def test_a_directory_of_several_names_is_walked_under_each(images: Callable[[str], Path], tmp_path: Path) -> None:
    """A key is one by its path: under a name that is met first, and is no place for keys, it must not be hidden."""
    image = Path(shutil.copy(images("ext4"), tmp_path / "image"))
    for number in range(10):
        tool("debugfs", "-w", "-R", f"ln /usr /also-{number}", image)
        with image.open("rb") as file:
            files = open_file_system(Part(file, 0, image.stat().st_size))
            assert files is not None
            walked = attempt(lambda files=files: {found.path for found, _ in Tree(files).walk()})  # type: ignore[misc]
        if number < 7:
            assert isinstance(walked, set)
            assert {"/usr/bin/sh", *(f"/also-{other}/bin/sh" for other in range(number + 1))} <= walked
        else:
            assert isinstance(walked, Unreadable)


def test_ext4_extents_that_lead_to_themselves(images: Callable[[str], Path]) -> None:
    """A block of an extent tree full of indexes that name it: recursion, or 340 ways at each level down."""
    image = images("ext4")
    data = image.read_bytes()
    inode = next(
        at
        for at in range(0, len(data), 128)
        if data[at + 4 : at + 8] == struct.pack("<I", 20_000) and data[at + 40 : at + 42] == b"\x0a\xf3"
    )
    (block,) = struct.unpack("<I", data[inode + 60 : inode + 64])
    for depth in (1, 3, 9):
        index = struct.pack("<IIHH", 0, block, 0, 0)
        top = struct.pack("<HHHHI", 0xF30A, 1, 4, depth, 0) + index
        node = struct.pack("<HHHHI", 0xF30A, 80, 84, depth, 0) + index * 80
        began = time.monotonic()
        assert ask_everything(image, {inode + 40: top, block * 1024: node})
        assert time.monotonic() - began < 20


def test_a_file_of_16_tib_without_extents_is_refused_and_one_with_them_not_read_to_its_end(tmp_path: Path) -> None:
    for kind, code in (("ext2", ["FileTooLarge"]), ("ext4", [])):
        folder, image = tmp_path / f"{kind}.root", tmp_path / kind
        folder.mkdir()
        (folder / "large").write_bytes(b"x")
        tool("truncate", "-s", "8M", image)
        tool("mke2fs", "-q", "-t", kind, "-d", folder, image)
        tool("debugfs", "-w", "-R", "set_inode_field large size 17592186044416", image)
        began = time.monotonic()
        assert ask_everything(image, {}) == code
        assert time.monotonic() - began < 20


def test_btrfs_trees_that_lead_nowhere(images: Callable[[str], Path]) -> None:
    """Nodes made nodes of another level, without items, or with too many: each ends in time."""
    image = images("btrfs")
    data = image.read_bytes()
    fsid = data[65536 + 32 : 65536 + 48]
    nodes = [at for at in range(131_072, len(data), 16384) if data[at + 32 : at + 48] == fsid]
    nodes.sort(key=lambda at: data[at + 80 : at + 88][::-1], reverse=True)  # by generation: others may be of the past
    assert len(nodes) > 5
    began, codes = time.monotonic(), set()
    for at in nodes[:6]:
        for change in ({at + 100: b"\x01"}, {at + 96: b"\0\0\0\0"}, {at + 96: b"\xff\xff\0\0"}, {at + 100: b"\xff"}):
            codes |= {*ask_everything(image, change)}
    assert "Malformed" in codes
    assert time.monotonic() - began < 60


@pytest.fixture(scope="session")
def used(images: Callable[[str], Path]) -> Callable[[str], list[int]]:
    """Give the places of an image where there are any bytes."""

    @cache
    def look(kind: str) -> list[int]:
        with images(kind).open("rb") as file:
            pages = iter(lambda: file.read(4096), b"")
            return [number * 4096 for number, page in enumerate(pages) if page.strip(b"\0")]

    return look


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=8))
def test_a_mutated_file_system_ends(
    images: Callable[[str], Path], used: Callable[[str], list[int]], kind: str, changes: list[tuple[float, bytes]]
) -> None:
    """Bytes changed where there are any: reading ends, and whatever comes of it is told and not raised."""
    places = used(kind)
    patches = {places[int(share * (len(places) - 1))] + int(share * 1e6) % 4000: piece for share, piece in changes}
    began = time.monotonic()
    ask_everything(images(kind), patches, entries=30)
    assert time.monotonic() - began < 30


async def test_a_broken_file_system_in_an_image_is_not_passed(images: Callable[[str], Path], tmp_path: Path) -> None:
    for kind, at in (("xfs", 8), ("btrfs", 65536 + 80), ("ntfs", 48)):
        image = Path(shutil.copy(images(kind), tmp_path / kind))
        with image.open("r+b") as file:
            file.seek(at)
            file.write(b"\x3f" * 8)
        assert verdict(await report_of(image)).outcome in {"blocked", "undetermined"}
