# SPDX-License-Identifier: AGPL-3.0-or-later
"""The text in which LVM writes down a volume group: sections, assignments, lists. Source: LVM2, libdm/libdm-config.c."""

import re
from collections.abc import Iterator
from typing import Any

from findings import Unreadable

DEPTH_MAX = 8
TOKENS_MAX = 1_000_000
_TOKEN = re.compile(
    r'(?P<skip>\s+|#[^\n]*)|"(?P<text>(?:[^"\\]|\\.)*)"|(?P<number>-?\d+)(?![\w.+-])|(?P<word>[\w.+-]+)|(?P<sign>[{}\[\]=,])'
)


def parse(text: str) -> dict[str, Any]:
    """Return nested dictionaries of strings, numbers and lists of them; raises `Unreadable` where it makes no sense."""
    return _section(_tokens(text), 0)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of each token."""
    at = count = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        count += 1
        if found is None or count > TOKENS_MAX:
            raise Unreadable("LvmDamaged", f"the metadata make no sense from character {at} on")
        at = found.end()
        kind = found.lastgroup or ""
        if kind != "skip":
            yield kind, found[kind]


def _section(tokens: Iterator[tuple[str, str]], depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise Unreadable("LvmDamaged", "sections are nested too deep")
    section: dict[str, Any] = {}
    for _, name in tokens:
        if name == "}" and depth:
            return section
        _, sign = next(tokens, ("", ""))
        if sign == "{":
            section[name] = _section(tokens, depth + 1)
        elif sign == "=":
            section[name] = _value(tokens)
        else:
            raise Unreadable("LvmDamaged", "the metadata hold a name without a value")
    if depth:
        raise Unreadable("LvmDamaged", "the metadata are cut off")
    return section


def _value(tokens: Iterator[tuple[str, str]]) -> str | int | list[str | int]:
    kind, text = next(tokens, ("", ""))
    if text != "[" or kind != "sign":
        return _plain(kind, text)
    values: list[str | int] = []
    for kind, text in tokens:
        if kind == "sign" and text == "]":
            return values
        if kind != "sign":
            values.append(_plain(kind, text))
    raise Unreadable("LvmDamaged", "a list of the metadata is cut off")


def _plain(kind: str, text: str) -> str | int:
    return int(text[:20]) if kind == "number" else text
