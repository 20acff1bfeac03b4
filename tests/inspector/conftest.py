"""Disk images made once for all tests that only read them."""

from pathlib import Path

import pytest

from tests.inspector.disks import ext4, gpt, qcow2


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
