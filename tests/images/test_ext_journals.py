"""A file system of ext that Linux was stopped in the midst of is read as Linux shows it once it has replayed its journal."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import pytest

from tests.images.conftest import COUNTED
from tests.images.ext_journals import KINDS, dirty
from tests.inspector.memory import facts_of

from filesystems import open_file_system  # isort: skip
from part import Part  # isort: skip
from tree import Tree  # isort: skip

if TYPE_CHECKING:
    from pathlib import Path

assert facts_of
INLINE = "system.data"
"""Where content lies that does not fit an inode; Linux does not show it."""


def read(image: Path) -> tuple[str | None, int, dict[str, list[object]]]:
    """Why a journal is not replayed, how many blocks it has that are, and what is shown as `ext_journals.shown` says it."""
    with image.open("rb") as file:
        files = open_file_system(Part(file, 0, image.stat().st_size))
        assert files is not None
        found: dict[str, list[object]] = {}
        for one, inode in Tree(files).walk():
            said: list[object] = [inode.kind, inode.permissions]
            if inode.kind == stat.S_IFLNK:
                said.append(files.link_target(one.node))
            elif inode.kind == stat.S_IFREG:
                said += [hashlib.sha256(one.open().read()).hexdigest(), sorted(files.xattrs(one.node).keys() - {INLINE})]
            found[one.path] = said
        return files.unfinished, len(getattr(files._part, "_units", ())), found  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"fast"}))
def test_what_linux_was_stopped_in_is_read_as_it_replays_it(name: str, tmp_path: Path) -> None:
    replayed = 0
    for image, shown in dirty(name, tmp_path):
        unfinished, blocks, found = read(image)
        assert unfinished is None
        assert found == shown
        replayed += blocks > 0
    # Now and then Linux has just written everything back.
    assert replayed > 0
    COUNTED["journals replayed as Linux does"] += replayed


def test_fast_commits_of_linux_are_told(tmp_path: Path) -> None:
    told = [read(image)[0] for image, _ in dirty("fast", tmp_path)]
    assert all("fast commits" in (one or "") for one in told)
