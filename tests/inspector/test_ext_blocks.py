"""Where ext keeps a file's content: inside its inode, in extents not written yet, behind missing pointers; and lies about it."""

import io
import re
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.inspector.disks import KERNEL, Root, item, report_of, tool
from tests.inspector.memory import facts_of

from filesystems import open_file_system  # isort: skip
from filesystems.ext_attributes import in_block, in_inode  # isort: skip
from filesystems.ext_blocks import Blocks  # isort: skip
from findings import Unreadable  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

assert facts_of
EXTENT = 0xF30A


def made(path: Path, kind: str, files: Mapping[str, bytes], *options: str) -> Path:
    """A file system whose boot block is not empty."""
    folder = path.with_name("files")
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    tool("truncate", "-s", "16M", path)
    tool("mke2fs", "-q", "-t", kind, *options, "-d", folder, path)
    with path.open("r+b") as image:
        image.write(b"boot" * 256)
    return path


def contents(path: Path) -> dict[str, bytes]:
    with path.open("rb") as image:
        files = open_file_system(Part(image, 0, path.stat().st_size))
        assert files is not None
        found = Tree(files).walk()
        return {one.path.strip("/"): one.open().read() for one, said in found if said.kind == 0o100000}


def test_files_and_directories_inside_their_inodes(tmp_path: Path) -> None:
    """A directory needs more than its inode once it has many names; a file beyond 60 bytes lies in an attribute too."""
    files = {f"etc/{length}": bytes(range(1, length + 1)) for length in (1, 59, 60, 61, 100, 140, 200)}
    files |= {"root/.ssh/id_ed25519": b"key", "home/a/b": b"x" * 5000, **{f"home/names/name-{n:04}": b"y" for n in range(9)}}
    image = made(tmp_path / "image", "ext4", files, "-O", "inline_data", "-I", "256")
    assert contents(image) == files
    assert {"0x10000000"} <= {word for word in _debugfs(image, "stat /root").split() if word == "0x10000000"}
    tool("debugfs", "-w", "-R", "set_inode_field /etc/100 size 4000", image)
    with pytest.raises(Unreadable, match="in an inode"):
        contents(image)


def _debugfs(image: Path, request: str) -> str:
    return subprocess.run(["/sbin/debugfs", "-R", request, image], capture_output=True, text=True, check=True).stdout


async def test_a_system_inside_its_inodes_is_judged(tmp_path: Path) -> None:
    folder, image = tmp_path / "top", tmp_path / "image"
    Root({"etc/fstab": b"LABEL=nowhere-that-there-is-and-a-line-that-no-inode-map-can-hold /x ext4 defaults 0 2\n"}).write(folder)
    tool("truncate", "-s", "16M", image)
    tool("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "inline_data", "-d", folder, image)
    report = await report_of(image)
    assert (report.attributes.os_version, report.attributes.kernel_version) == ("Debian 12", KERNEL)
    assert item(report, "Fstab").code == "Fstab.NoSuchDevice"


def test_extents_that_were_not_written_yet_read_as_zeros_as_debugfs_says(tmp_path: Path) -> None:
    image = made(tmp_path / "image", "ext4", {"a": b"A" * 9000, "b": b"B" * 3000, "c": b"c" * 70_000})
    noise = tmp_path / "noise"
    noise.write_bytes(b"noise" * 1_600_000)
    tool("debugfs", "-w", "-R", f"write {noise} noise", image)
    tool("debugfs", "-w", "-R", "rm noise", image)  # what is allocated next holds the noise
    for request in ("fallocate a 20 60", "set_inode_field a size 61000", "fallocate b 0 40", "set_inode_field b size 20000"):
        tool("debugfs", "-w", "-R", request, image)
    tool("debugfs", "-w", "-R", "punch c 10 30", image)
    found = contents(image)
    for name in ("a", "b", "c"):
        tool("debugfs", "-R", f"dump {name} {tmp_path / name}", image)
        assert found[name] == (tmp_path / name).read_bytes()
    assert found["a"] == b"A" * 9000 + bytes(52_000)
    assert found["b"] == b"B" * 3000 + bytes(17_000)
    assert found["c"][10 * 1024 : 31 * 1024] == bytes(21 * 1024)


@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_holes_of_every_depth_read_as_zeros(tmp_path: Path, kind: str) -> None:
    """Pieces so far apart that whole blocks of pointers are missing; a hole at the end."""
    image, source = made(tmp_path / "image", kind, {"x": b"x"}, "-b", "1024"), tmp_path / "source"
    ends = (1 << 10, 13 << 10, 300 << 10, 70_000 << 10)
    with source.open("wb") as file:
        for at in ends:
            file.seek(at)
            file.write(b"piece")
        file.truncate(72_000 << 10)
    tool("debugfs", "-w", "-R", f"write {source} sparse", image)
    assert contents(image)["sparse"] == source.read_bytes()


def test_attributes_wherever_they_lie(tmp_path: Path) -> None:
    """In the inode, in a block, in an inode of their own; as debugfs set them."""
    image, value = made(tmp_path / "image", "ext4", {"a": b"x", "b": b"y"}, "-O", "ea_inode"), tmp_path / "value"
    wanted = {
        "user.small": b"s" * 20,
        "user.block": b"b" * 700,
        "user.inode": bytes(range(256)) * 4,
        "security.capability": b"c" * 20,
    }
    for name, data in wanted.items():
        value.write_bytes(data)
        tool("debugfs", "-w", "-R", f"ea_set -f {value} a {name}", image)
    assert attributes(image, "/a") == wanted
    assert attributes(image, "/b") == {}
    changed = bytearray(image.read_bytes())
    entry = re.search(rb"\x05\x01......\0\x04\0\0....inode", changed, re.DOTALL)
    assert entry is not None
    size_at = entry.start() + 8
    for size in (1025, 65_537, 0xFFFFFFFF):
        struct.pack_into("<I", changed, size_at, size)
        image.write_bytes(changed)
        with pytest.raises(Unreadable, match="extended attribute"):
            attributes(image, "/a")


def attributes(image: Path, path: str) -> dict[str, bytes]:
    with image.open("rb") as file:
        files = open_file_system(Part(file, 0, image.stat().st_size))
        assert files is not None
        found = Tree(files).find(path)
        assert found is not None
        return dict(files.xattrs(found.node))


def test_attributes_that_lie_are_refused() -> None:
    def entry(offset: int, size: int, *, name: bytes = b"name", inode: int = 0) -> bytes:
        return struct.pack("<BBHIII", len(name), 1, offset, inode, size, 0) + name + bytes(-len(name) % 4)

    def of(area: bytes) -> dict[str, bytes]:
        return dict(in_block(struct.pack("<I", 0xEA020000) + bytes(28) + area, lambda _number, size: bytes(size)))

    assert of(entry(32, 4) + bytes(4)) == {"user.name": struct.pack("<BBH", 4, 1, 32)}
    assert of(b"") == {}
    for area in (
        entry(50, 100),
        entry(0, 1 << 17),
        entry(0, 1 << 17, inode=5),
        entry(0, 0, name=b"n" * 200)[:90],
        b"\x04\x01\0\0",
    ):
        with pytest.raises(Unreadable, match="extended attribute"):
            of(area)
    assert dict(in_inode(bytes(128), lambda *_: b"")) == {}
    with pytest.raises(Unreadable, match="no magic"):
        dict(in_block(bytes(64), lambda *_: b""))


@pytest.mark.parametrize(("feature", "bit"), [("meta_bg,^resize_inode", "0x10"), ("casefold", "0x20000")])
def test_features_that_are_not_read_are_refused(tmp_path: Path, feature: str, bit: str) -> None:
    image = made(tmp_path / "image", "ext4", {"x": b"x"}, "-O", feature)
    with pytest.raises(Unreadable, match=bit):
        contents(image)


def test_features_of_every_day_are_read(tmp_path: Path) -> None:
    features = "64bit,metadata_csum,metadata_csum_seed,large_dir,mmp,ea_inode,flex_bg,inline_data"
    assert contents(made(tmp_path / "image", "ext4", {"x": b"x"}, "-O", features)) == {"x": b"x"}


def leaf(*extents: tuple[int, int, int], depth: int = 0, entries: int | None = None) -> bytes:
    count = len(extents) if entries is None else entries
    body = b"".join(struct.pack("<IHHI", logical, length, 0, first) for logical, length, first in extents)
    return (struct.pack("<HHHHI", EXTENT, count, 4, depth, 0) + body).ljust(60, b"\0")


LIES: dict[str, tuple[bytes, bool, str]] = {
    "two extents of one block": (leaf((0, 4, 100), (3, 4, 200)), True, "not in order"),
    "backwards": (leaf((8, 4, 100), (0, 4, 200)), True, "not in order"),
    "an extent of nothing": (leaf((0, 0, 100)), True, "no blocks"),
    "not written, of nothing": (leaf((0, 0x8000, 100), (0, 1, 5)), True, "of a file system that has"),
    "beyond the end": (leaf((0, 4, 1021)), True, "of a file system that has"),
    "block 0": (leaf((0, 4, 0)), True, "of a file system that has"),
    "more than fit": (leaf((0, 1, 9), entries=5), True, "makes no sense"),
    "no magic": (bytes(60), True, "makes no sense"),
    "too deep": (leaf((0, 1, 9), depth=6), True, "makes no sense"),
    "an index of itself": (
        struct.pack("<HHHHI", EXTENT, 1, 4, 2, 0) + struct.pack("<IIHH", 0, 7, 0, 0) + bytes(36),
        True,
        "level 0",
    ),
    "a pointer beyond the end": (struct.pack("<15I", 5, *[0] * 13, 1024), False, "of a file system that has"),
}


@pytest.mark.parametrize(("map_", "extents", "text"), LIES.values(), ids=LIES.keys())
def test_maps_that_lie_are_refused(blocks: Callable[[bytes], Blocks], map_: bytes, extents: bool, text: str) -> None:
    with pytest.raises(Unreadable, match=text):
        blocks(leaf((0, 1, 9))).runs(map_, 1_000_000, extents=extents)


def test_runs_that_follow_each_other_are_one(blocks: Callable[[bytes], Blocks]) -> None:
    of = blocks(b"")
    assert of.runs(leaf((0, 4, 100), (4, 4, 104), (10, 0x8002, 7), (12, 1, 9)), 20, extents=True) == [
        (100, 8),
        (None, 2),
        (None, 2),
        (9, 1),
        (None, 7),
    ]
    assert of.runs(struct.pack("<15I", 5, 6, 0, 8, *[0] * 11), 4, extents=False) == [(5, 2), (None, 1), (8, 1)]
    assert of.runs(bytes(60), 1 << 40, extents=False) == [(None, 1 << 40)]


@pytest.fixture
def blocks() -> Callable[[bytes], Blocks]:
    """Blocks of 1 KiB, 1,024 of them, the seventh being what is given."""

    def give(seventh: bytes) -> Blocks:
        disk = io.BytesIO(bytes(7 * 1024) + seventh.ljust(1024, b"\0") + bytes(1016 * 1024))
        return Blocks(Part(disk, 0, 1 << 20), 1024, 1024)

    return give
