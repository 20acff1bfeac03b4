"""How the story is told: short lines as things happen, and a clear word where it does not go as told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.padding import Padding

from cli.answers import evidence_lines
from cli.output import console, plain, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType


class NotAsTold(Exception):
    """A step did not go as told."""


class Narrator:
    """Prints the story, and compares what happened with what was told."""

    def __init__(self) -> None:
        """Begin: the clock of the story starts here."""
        self._began = time.monotonic()
        self._console = console()
        self._chapter = "before the first chapter"
        self.expectations = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter = title
        self._console.print()
        self._console.print(plain(f"{self.elapsed_s:5.1f} s  {title}", "bold cyan"))

    def command(self, line: str) -> None:
        """Show the command line that does what happens now."""
        self._line(f"$ {line}", "bold")

    def done(self, text: str) -> None:
        """Say what came of it."""
        self._line(f"✓ {text}", "green")

    def refused(self, problems: Sequence[Mapping[str, object]]) -> None:
        """Show a refusal: each broken rule with what it met, what to do, and its evidence."""
        for problem in problems:
            what = " ".join(str(problem[name]) for name in ("code", "item") if problem.get(name))
            self._line(f"✗ {what}: {problem.get('advice') or problem.get('value') or ''}", "yellow")
            for line in evidence_lines(dict(problem)):
                self._line(f"    evidence  {line}", "dim")

    def note(self, text: str) -> None:
        """Say something by the way."""
        self._line(text, "dim")

    def show(self, drawing: RenderableType) -> None:
        """Show what another command would."""
        self._console.print(Padding(drawing, (0, 0, 0, 9)))

    def expect(self, told: object, happened: object, what: str) -> None:
        """Compare.

        Raises:
            NotAsTold: `happened` is not equal to `told`.
        """
        self.expectations += 1
        if told != happened:
            message = f"{self._chapter}: {what}: expected {safe(repr(told))}, got {safe(repr(happened), characters_max=2000)}"
            raise NotAsTold(message)

    def finished(self) -> None:
        """Say how it went."""
        self._console.print()
        self._console.print(plain(f"As told: {self.expectations} expectations held, {self.elapsed_s:.1f} s.", "bold green"))
        hint = "To go on by hand: image-commons stack up, image-commons run all, then the README's first steps."
        self._console.print(plain(hint, "dim"))

    def _line(self, text: str, style: str) -> None:
        self._console.print(plain(f"         {safe(text, characters_max=600)}", style), soft_wrap=True)
