"""Columns that go to PostgreSQL as one text come out as the rows that went in."""

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.database.columns import numbers, texts

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


def _read(literal: str) -> list[str]:
    """Read an array as PostgreSQL does where every element is quoted."""
    elements, at = [], 1
    while literal[at] != "}":
        at += 1 if literal[at] == '"' else 2
        element = ""
        while literal[at] != '"':
            at += literal[at] == "\\"
            element += literal[at]
            at += 1
        elements.append(element)
        at += 1
    return elements


@given(st.lists(_TEXT))
def test_every_element_is_quoted(column: list[str]) -> None:
    assert _read(texts(column)) == column


async def test_postgresql_reads_what_was_written(postgres_dsn: str) -> None:
    odd = ["", "NULL", 'a"b', "a\\b", '\\"', "{,}", " a ", "line\nfeed", "\x01", "é😀", '","', "\\\\"]
    connection = await asyncpg.connect(postgres_dsn)
    try:
        for column in (odd, [], [""], ["one"]):
            assert await connection.fetchval("SELECT $1::text::text[]", texts(column)) == column
        for figures in ([1, -2, 2**63 - 1], []):
            assert await connection.fetchval("SELECT $1::text::bigint[]", numbers(figures)) == figures
    finally:
        await connection.close()


@pytest.mark.parametrize("column", [["a\x00b"], ["a", "\x00"], ["\x00"]])
def test_what_postgresql_cannot_hold_is_refused(column: list[str]) -> None:
    with pytest.raises(ValueError, match="U\\+0000"):
        texts(column)
