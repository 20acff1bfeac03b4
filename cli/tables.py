"""Tables for a person: ids stay whole so that they can be copied, times are short, a narrow terminal gets less or a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.output import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

_GAP = 2
_FOLDED_WIDTH_MIN = 16  # what a column of text needs at least to be read
_TIME_CHARACTERS = 16
_THINGS_COLUMNS_MIN = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        name: its heading.
        whole: never broken or cut (ids: they are copied).
        optional: left out where the terminal is too narrow, the last one first.
    """

    name: str
    whole: bool = False
    optional: bool = False


SINCE = Column("since (UTC)", whole=True, optional=True)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table that fits its terminal: optional columns go first, then each row is shown as lines of its own."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    title: str | None = None

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Render for the width at hand."""
        cells = [[shown(cell) for cell in row] for row in self.rows]
        kept = _kept(self.columns, cells, options.max_width)
        if self.title:
            yield plain(self.title, "italic")
        if not cells:
            yield plain("none", "dim")
        elif kept is None:
            yield from _stacked(self.columns, cells)
        else:
            yield _drawn([self.columns[place] for place in kept], [[row[place] for place in kept] for row in cells])


def table(columns: Sequence[Column | str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Rows:
    """Return a table of made-safe cells; an empty one says that there is nothing."""
    return Rows([column if isinstance(column, Column) else Column(column) for column in columns], rows, title)


def shown(value: object) -> str:
    """Return a value as a person reads it: yes or no, a short time, `-` for nothing."""
    match value:
        case None | "" | [] | ():
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case str():
            text = short_time(value)
        case {"kind": kind, "id": id_, **rest} if not rest:  # an actor
            text = f"{kind} {id_}"
        case {"code": code, "advice": _}:  # a problem: its advice is in the report
            text = str(code)
        case Mapping():
            text = ", ".join(f"{name} {shown(part)}" for name, part in value.items()) or "-"
        case list() | tuple():
            text = ", ".join(map(shown, value))
        case _:
            text = str(value)
    return text


def short_time(text: str) -> str:
    """Return an RFC 3339 time as ``2026-11-24 20:41`` UTC; any other text as it is."""
    if len(text) <= _TIME_CHARACTERS or text[4:5] != "-" or text[10:11] not in ("T", "t"):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def fields(document: Mapping[str, Any]) -> RenderableType:
    """Return one thing's fields, one a line; a list of things beneath them, as a table."""
    from rich.console import Group
    from rich.table import Table

    drawn = Table.grid(padding=(0, _GAP))
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    beneath: list[RenderableType] = []
    for name, value in document.items():
        if value in (None, [], {}, ()):
            continue
        if isinstance(value, list) and isinstance(value[0], Mapping):
            beneath.append(_things(name, value))
        elif isinstance(value, Mapping):
            for inner, part in value.items():
                if part not in (None, [], {}, ()):
                    drawn.add_row(plain(f"{name}.{inner}", "bold"), plain(shown(part)))
        else:
            drawn.add_row(plain(name, "bold"), plain(shown(value)))
    return Group(drawn, *beneath)


def _things(name: str, things: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return a list of things as a table, with a column for each of their fields that is anywhere filled."""
    names = dict.fromkeys(inner for thing in things for inner, value in thing.items() if value not in (None, [], {}, ()))
    columns = [Column(inner, optional=place >= _THINGS_COLUMNS_MIN) for place, inner in enumerate(names)]
    return table(columns, [[thing.get(inner) for inner in names] for thing in things], title=name)


def _kept(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the places of the columns that fit into `width`; None if not even those that must be there do."""
    kept = list(range(len(columns)))
    while True:
        if sum(_width(columns[place], [row[place] for row in cells]) + _GAP for place in kept) - _GAP <= width:
            return kept
        droppable = [place for place in kept if columns[place].optional]
        if not droppable:
            return None
        kept.remove(droppable[-1])


def _width(column: Column, cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    widest = max(map(cell_len, [column.name, *cells]))
    return widest if column.whole else min(widest, _FOLDED_WIDTH_MIN)


def _drawn(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for column in columns:
        drawn.add_column(column.name, no_wrap=column.whole, overflow="fold")
    for row in cells:
        drawn.add_row(*map(plain, row))
    return drawn


def _stacked(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Iterator[RenderableType]:
    from rich.table import Table

    for row in cells:
        drawn = Table.grid(padding=(0, _GAP))
        drawn.add_column(no_wrap=True)
        drawn.add_column(overflow="fold")
        for column, cell in zip(columns, row, strict=True):
            if cell != "-":
                drawn.add_row(plain(column.name, "bold"), plain(cell))
        yield drawn
        yield plain("")
