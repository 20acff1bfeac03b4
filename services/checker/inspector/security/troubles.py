# SPDX-License-Identifier: AGPL-3.0-or-later
"""Several troubles of one item, put together: the worst gives level and code, all of them evidence."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from findings import TEXT_CHARACTERS_MAX, Evidence, FileText, Item, Unreadable

_WORST_FIRST = ("failed", "unsupported", "warning")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble: its level, its code `<Item>.<Problem>`, where it was seen, what to do about it."""

    level: str
    code: str
    advice: str
    evidence: tuple[Evidence, ...] = ()


def item_of(name: str, troubles: Sequence[Trouble], value: str | None) -> Item:
    """Return the item: `ok` with `value` where there is no trouble, else the codes of all of them for its value."""
    if not troubles:
        return Item(name, "ok", value=value)
    ordered = sorted(troubles, key=lambda one: _WORST_FIRST.index(one.level))
    first = ordered[0]
    evidence = tuple(evidence for trouble in ordered for evidence in trouble.evidence)
    codes = tuple(dict.fromkeys(trouble.code for trouble in ordered))
    advice = "; ".join(dict.fromkeys(trouble.advice for trouble in ordered))
    return Item(name, first.level, first.code, codes, evidence, advice[:TEXT_CHARACTERS_MAX])


def unjudged(code: str, reason: Unreadable | str, what: str) -> Trouble:
    """Return the trouble of something that could not be judged, with the reason."""
    return Trouble("unsupported", code, f"{what} could not be judged: {reason}")


def said(file: FileText, line: int, text: str) -> Evidence:
    """Return evidence of a line that must not be repeated: `text` says what it is."""
    return Evidence(file.path, line, text, hashlib.sha256(file.data).hexdigest())
