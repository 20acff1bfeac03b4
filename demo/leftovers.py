"""Folders of tellings that were killed: each is held by its process for as long as that lives."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from stack import folder_lock
from stack.local import remove

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "image-commons-demo-"
_UNHELD_MIN_S = 3600.0
"""A folder without a lock may be one that is being made just now."""


def sweep(beneath: Path) -> list[Path]:
    """Remove the folders of killed tellings beneath the temporary folder `beneath`; return those that are gone."""
    gone = []
    for folder in beneath.glob(f"{PREFIX}*"):
        try:
            old = time.time() - folder.stat().st_mtime > _UNHELD_MIN_S
        except OSError:
            continue  # it ended while we looked
        if folder_lock.is_held(folder) or not (old or folder_lock.is_there(folder)):
            continue
        remove(folder / "stack")
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            gone.append(folder)
    return gone
