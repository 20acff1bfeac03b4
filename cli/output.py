"""Tables and colour for a person, JSON for a pipe; both safe for a terminal whatever an event holds."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from shared.reporting.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console, RenderableType

    from cli.errors import CommandError

CELL_CHARACTERS_MAX = 400


def safe(text: object, *, characters_max: int = CELL_CHARACTERS_MAX) -> str:
    """Return `text` without anything a terminal would act on, shortened to `characters_max`."""
    shown = str(text)
    if len(shown) > characters_max:
        shown = shown[: characters_max - 1] + "…"
    return visible(shown)


class Output:
    """Where a command's results go.

    Args:
        as_json: True forces JSON; otherwise JSON is chosen where standard output is no terminal.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.json = as_json or not sys.stdout.isatty()

    def document(self, document: Any, render: Callable[[], RenderableType]) -> None:
        """Write `document` as one JSON value, or what `render` makes of it."""
        if self.json:
            print(json.dumps(document, indent=2, default=str))
        else:
            console().print(render())

    def note(self, text: str) -> None:
        """Say something on the way, to a person only."""
        if not self.json:
            console(stderr=True).print(plain(text, "dim"))


def console(*, stderr: bool = False) -> Console:
    """Return a console on the present standard output or error, with no markup and no highlighting of strangers' text."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False)


def plain(text: object, style: str = "") -> RenderableType:
    """Return text that is shown as it is, made safe."""
    from rich.text import Text

    return Text(safe(text, characters_max=4000), style=style)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> RenderableType:
    """Return a table of made-safe cells; an empty one says that there is nothing."""
    from rich import box
    from rich.table import Table

    if not rows:
        return plain(f"{title}: none" if title else "none", "dim")
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*[plain("-" if cell is None else cell) for cell in row])
    return drawn


def fields(document: Mapping[str, object]) -> RenderableType:
    """Return one thing's fields, one a line."""
    from rich.table import Table

    drawn = Table.grid(padding=(0, 2))
    for name, value in document.items():
        if value not in (None, [], {}):
            shown = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (dict, list)) else value
            drawn.add_row(plain(name, "bold"), plain(shown))
    return drawn


def report_error(error: CommandError) -> None:
    """Say on standard error what failed, where, why, and what to do next."""
    out = console(stderr=True)
    out.print(plain(f"error: {error.what}", "bold red"), soft_wrap=True)
    for label, text in (("where", error.where), ("why", error.why), ("next", error.advice)):
        if text:
            out.print(plain(f"  {label}: {text}"), soft_wrap=True)
