"""Columns of many rows as few parameters.

asyncpg encodes an array element by element, at several times the cost of one text; PostgreSQL reads either form as fast. A column
goes as the text of an array, and the statement casts it: `unnest($1::text::text[])`.
"""

from collections.abc import Iterable, Sequence


def texts(column: Sequence[str]) -> str:
    """Return `column` as the text of a `text[]`; raises `ValueError` where PostgreSQL could not hold it (U+0000)."""
    if not column:
        return "{}"
    # No text of PostgreSQL's holds U+0000: joined by it, the whole column is quoted at once.
    joined = "\x00".join(column)
    if joined.count("\x00") != len(column) - 1:
        message = "U+0000 in a text"
        raise ValueError(message)
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\x00", '","')
    return f'{{"{quoted}"}}'


def numbers(column: Iterable[int]) -> str:
    """Return `column` as the text of an array of numbers."""
    return f"{{{','.join(map(str, column))}}}"
