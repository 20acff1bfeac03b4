"""What killed tellings left behind is removed; what belongs to a living one stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from demo.leftovers import PREFIX, sweep
from stack import folder_lock
from stack.postgres_server import _OWNER, sweep_orphans


def test_only_folders_without_a_living_process_go(tmp_path: Path) -> None:
    names = ("living", "killed", "beginning", "old")
    living, killed, beginning, old = (tmp_path / f"{PREFIX}{name}" for name in names)
    other = tmp_path / "another-program"
    for folder in (living, killed, beginning, old, other):
        (folder / "stack").mkdir(parents=True)
    held = folder_lock.take(living)
    assert held is not None
    let_go = folder_lock.take(killed)
    assert let_go is not None
    os.close(let_go)
    os.utime(old, (time.time() - 7200,) * 2)
    assert set(sweep(tmp_path)) == {killed, old}
    assert set(tmp_path.iterdir()) == {living, beginning, other}
    os.close(held)
    assert sweep(tmp_path) == [living]


def test_data_apart_goes_with_its_stacks_folder(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    kept, orphan, served, unknown = (tmp_path / f"image-commons-postgres-{name}" for name in "abcd")
    for data, owner in ((kept, folder), (orphan, tmp_path / "gone"), (served, tmp_path / "gone"), (unknown, None)):
        data.mkdir()
        if owner is not None:
            (data / _OWNER).write_text(str(owner))
    (served / "postmaster.pid").write_text(f"{os.getpid()}\n{served}\n")
    assert sweep_orphans(tmp_path) == [orphan]
    assert all(data.exists() for data in (kept, served, unknown))
