"""Disks of XFS that were not shut cleanly: the inspector reads each as Linux shows it once it has replayed the log."""

import json
import sys
from pathlib import Path

import pytest

from demo.partitions import run
from tests.images.conftest import COUNTED
from tests.images.dirty_logs import DISKS
from tests.inspector.test_xfs_log import shown_by_us

from filesystems.xfs import XfsFileSystem  # isort: skip
from part import Part  # isort: skip


@pytest.mark.parametrize("name", DISKS)
def test_what_linux_shows_once_it_has_replayed_the_log(name: str, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    run(["unshare", "--mount", sys.executable, "-m", "tests.images.dirty_logs", name, str(image)])
    with image.open("rb") as file:
        files = XfsFileSystem(Part(file, 0, image.stat().st_size))  # type: ignore[arg-type]
        shown = shown_by_us(files)
    assert files.unfinished is None
    assert shown == json.loads(image.with_suffix(".json").read_text())
    COUNTED["dirty logs"] += 1
