"""How far a check is, as a bar on standard error; nothing where that is no terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.output import console, safe
from shared.reporting.arrangement import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(*, wanted: bool, doing: str = "checking") -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told phase, done and total; the bar is gone at the end."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _phase, _done, _total: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def show(phase: str, done: int, total: int) -> None:
            said = f"{doing} {safe(phase, characters_max=30)}"
            if phase == "fetch":
                said = f"fetching {size_text(done)} of {size_text(total)}"
            bar.update(task, description=said, completed=done, total=total or None)

        yield show
