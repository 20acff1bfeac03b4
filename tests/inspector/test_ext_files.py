"""Contents of ext4 files as they lie on the disk: the same bytes as another reader's, holes passed over."""

import io
import os
import random
import stat
from pathlib import Path

import pytest
from dissect.extfs.extfs import ExtFS

from tests.inspector.memory import PROGRAM  # isort: skip - puts the inspector on the path

from filesystems.ext import ExtFileSystem
from filesystems.ext_files import MappedFile
from findings import Unreadable
from part import QUESTION_BYTES_MAX, Part
from tests.inspector.disks import tool
from tree import Tree

assert PROGRAM


@pytest.fixture(scope="module")
def many_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 with files of many sizes, sparse ones, and one in many pieces."""
    folder = tmp_path_factory.mktemp("many")
    root = folder / "root"
    root.mkdir()
    numbers = random.Random(1)
    for size in (0, 1, 60, 4095, 4096, 4097, 1_000_000, 3_000_001):
        (root / f"f{size}").write_bytes(numbers.randbytes(size))
    with (root / "sparse").open("wb") as file:
        for at in range(0, 400 * 8192, 8192):
            file.seek(at)
            file.write(numbers.randbytes(4096))
        file.truncate(20_000_000)
    (root / "slow-link").symlink_to("x" * 200)
    (root / "link").symlink_to("f1")
    image = folder / "x.ext4"
    tool("truncate", "-s", "24M", image)
    tool("mke2fs", "-q", "-t", "ext4", "-b", "1024", "-d", root, image)
    return image


def test_every_file_has_the_bytes_that_another_reader_finds(many_files: Path) -> None:
    with many_files.open("rb") as disk, many_files.open("rb") as again:
        other = ExtFS(again)
        files = ExtFileSystem(Part(disk, 0, many_files.stat().st_size))
        tree = Tree(files)
        names = [name for name in tree.names("/") if name.startswith(("f", "sparse"))]
        assert len(names) == 9
        for name in names:
            found = tree.find(name)
            assert found is not None
            content = found.open()
            expected = other.get(name).open().read()
            assert content.read() == expected == (many_files.parent / "root" / name).read_bytes()
            for at in (0, 1, 1023, 1024, 8191, len(expected) - 1, len(expected), len(expected) + 5):
                content.seek(max(0, at))
                assert content.read(5000) == expected[max(0, at) : max(0, at) + 5000]
        assert files.link_target(tree.find("slow-link", follow=False).node) == "x" * 200  # type: ignore[union-attr]
        assert files.link_target(tree.find("link", follow=False).node) == "f1"  # type: ignore[union-attr]


def test_what_is_read_while_a_walk_waits_is_no_part_of_its_question(many_files: Path) -> None:
    with many_files.open("rb") as disk:
        tree = Tree(ExtFileSystem(Part(disk, 0, many_files.stat().st_size)))
        found = [one for one, inode in tree.walk() if inode.kind == stat.S_IFREG and len(one.open().read()) == inode.size]
        # The sparse file alone is more than a question about the file system may read, counted often enough.
        for walked, _ in tree.walk():
            if walked.path == "/sparse":
                for _ in range(QUESTION_BYTES_MAX // 1_600_000 + 2):
                    walked.open().read()
    assert len(found) == 9


def test_where_the_next_data_is() -> None:
    disk = Part(io.BytesIO(os.urandom(64 * 1024)), 0, 64 * 1024)
    file = MappedFile(disk, [(None, 4), (10, 2), (None, 94), (20, 1)], 2**40, 1024)
    assert [file.next_data(at) for at in (0, 4095, 4096, 6143, 6144, 102_400, 103_424)] == [
        *(4096, 4096, 4096, 6143, 102_400, 102_400),
        2**40,
    ]
    file.seek(2**40 - 5)
    assert file.read(100) == bytes(5)
    file.seek(6000)
    assert file.read(300) == disk.at(10 * 1024 + 6000 - 4096, 144) + bytes(156)


def test_a_block_beyond_the_disk_is_not_read_as_zeros() -> None:
    part = Part(io.BytesIO(bytes(4096)), 0, 4096)
    with pytest.raises(Unreadable):
        MappedFile(part, [(100, 1)], 1024, 1024).read()
