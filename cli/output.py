"""Tables and colour for a person, JSON for a pipe; both safe for a terminal whatever an event holds."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from shared.reporting.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable

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
            sys.stdout.flush()  # a full disk is met here, where it can be told, and not at the interpreter's end
        else:
            console().print(render(), crop=False)  # what is there to be copied is never cut

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


def whole(text: object) -> RenderableType:
    """Return text that is never broken into lines: it is there to be copied."""
    from rich.text import Text

    return Text(safe(text), no_wrap=True, overflow="ignore")


def report_error(error: CommandError) -> None:
    """Say on standard error what failed, where, why, and what to do next."""
    out = console(stderr=True)
    out.print(plain(f"error: {error.what}", "bold red"), soft_wrap=True)
    for label, text in (("where", error.where), ("why", error.why), ("next", error.advice)):
        if text:
            out.print(plain(f"  {label}: {text}"), soft_wrap=True)
