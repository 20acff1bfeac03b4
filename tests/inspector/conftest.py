"""Disk images made once for all tests that only read them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inspector.disks import ext4, gpt, qcow2, unpack_made_by_linux
from tests.inspector.journals import Journal, Make, small


@pytest.fixture(scope="session")
def good_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system that nothing is wrong with, no partitions around it."""
    return ext4(tmp_path_factory.mktemp("good") / "root.ext4")


@pytest.fixture(scope="session")
def good_raw(good_root: Path) -> Path:
    """The same on a disk that boots both ways."""
    return gpt(good_root.with_name("good.raw"), good_root)


@pytest.fixture(scope="session")
def good_qcow2(good_raw: Path) -> Path:
    return qcow2(good_raw.with_suffix(".qcow2"), good_raw)


@pytest.fixture(scope="session")
def by_linux(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpack an image that Linux made (data/make.sh), holes left out."""
    folder, known = tmp_path_factory.mktemp("linux"), dict[str, Path]()

    def unpack(name: str) -> Path:
        if name not in known:
            known[name] = folder / name
            unpack_made_by_linux(name, known[name])
        return known[name]

    return unpack


@pytest.fixture(scope="session")
def small_ext(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A file system by its size of blocks, which nothing is wrong with."""
    folder = tmp_path_factory.mktemp("plain")
    files = {"etc/fstab": b"old\n" * 2000, "etc/other": b"x" * 9000}
    return {size: small(folder / f"{size}", block_bytes=size, files=files) for size in (1024, 4096)}


@pytest.fixture
def journal(small_ext: dict[int, Path], tmp_path: Path) -> Make:
    """Give the journal of a copy."""

    def make(checksums: int = 0, wide: bool = False, block_bytes: int = 1024, **options: int) -> Journal:
        image = Path(shutil.copy(small_ext[block_bytes], tmp_path / "image"))
        return Journal(image, block_bytes, checksums, wide, **options)  # type: ignore[arg-type]

    return make
