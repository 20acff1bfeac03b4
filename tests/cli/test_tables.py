"""Tables at any width: ids stay whole, nothing is cut away, times are short."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from cli.pages import with_rest
from cli.tables import Column, fields, short_time, shown, table

ID = "019abcde-0000-7000-8000-000000000000"
NAME = "debian12_kernel6.1_x86_64_20260101"
COLUMNS = (
    Column("publication", whole=True),
    Column("image", whole=True),
    "state",
    Column("name", optional=True),
    Column("since (UTC)", whole=True, optional=True),
    Column("reason", optional=True),
)
ROW = (ID, "img-1", "check_failed", NAME, "2026-11-24T20:41:11.123456Z", "GUESTOS.Fstab: no such device")


def drawn(what: Any, width: int) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(what, crop=False)
    return capture.get()


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_an_id_can_be_copied_at_any_width(width: int) -> None:
    text = drawn(table(COLUMNS, [ROW], title="Publications"), width)
    assert ID in text
    assert "check_failed" in text
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "…" not in text


def test_what_does_not_fit_goes_the_last_first() -> None:
    heads = {width: drawn(table(COLUMNS, [ROW]), width).splitlines()[1].split() for width in (80, 100, 160)}
    assert "since" not in heads[80]
    assert "name" in heads[80]
    assert "since" in heads[100]
    assert "reason" not in heads[100]
    assert "reason" in heads[160]


def test_a_narrow_terminal_gets_each_row_as_lines_with_all_of_it() -> None:
    lines = drawn(table(COLUMNS, [ROW, ROW]), 50).splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == [
        *("publication", "image", "state", "name", "since", "reason"),
    ] * 2
    assert any(NAME in line for line in lines)


def test_an_empty_list_says_so() -> None:
    assert drawn(table(COLUMNS, [], title="Publications"), 80).split() == ["Publications", "none"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-11-24T20:41:11.123456+00:00", "2026-11-24 20:41"),
        ("2026-11-24T23:41:11+03:00", "2026-11-24 20:41"),
        ("2026-11-24T20:41:11", "2026-11-24T20:41:11"),
        ("1234-67890Txxxxxxx", "1234-67890Txxxxxxx"),
        (True, "yes"),
        (False, "no"),
        (None, "-"),
        ([], "-"),
        (0, "0"),
        (["a", "b"], "a, b"),
        ({"kind": "account", "id": "acme"}, "account acme"),
        ({"a": 1, "b": True}, "a 1, b yes"),
        ([{"code": "X.Y", "advice": "do"}], "X.Y"),
    ],
)
def test_values_as_a_person_reads_them(value: object, text: str) -> None:
    assert shown(value) == text


def test_other_texts_are_no_times() -> None:
    assert short_time("img-1") == "img-1"


def test_fields_fold_and_lists_of_things_are_tables() -> None:
    document = {
        "encrypted": False,
        "digest": "sha256:" + "0" * 64,
        "nothing": None,
        "history": [{"state": "checking", "at": "2026-11-24T20:41:11.123456Z", "actor": {"kind": "account", "id": "acme"}}],
    }
    text = drawn(fields(document), 50)
    assert "0" * 64 in "".join(text.split())
    assert "encrypted  no" in text
    assert "nothing" not in text
    assert "account acme" in text
    assert "2026-11-24 20:41" in text
    assert ".123456" not in text
    assert "{" not in text


def test_more_pages_are_told_with_a_cursor_to_copy() -> None:
    cursor = "c" * 90
    assert cursor in drawn(with_rest(table(("a",), [(1,)]), {"next_cursor": cursor}), 60)
    assert "more exist" not in drawn(with_rest(table(("a",), [(1,)]), {"next_cursor": None}), 60)
