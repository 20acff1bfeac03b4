"""Rule 6: the name's grammar.

2-128 code points after NFC; a letter (Unicode category L) first; then letters, decimal digits (Nd) and `. : _ -`; not beginning
with `acs:` or `aliyun` in any case.
"""

import unicodedata
from typing import Final

from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code

CHARACTERS_MIN: Final = 2
CHARACTERS_MAX: Final = 128
RESERVED_PREFIXES: Final = ("acs:", "aliyun")
_PUNCTUATION: Final = frozenset(".:_-")


def normalised(name: str) -> str:
    """Return `name` in NFC, the form in which it is judged, kept and shown."""
    return unicodedata.normalize("NFC", name)


def judge_name(name: str) -> list[Problem]:
    """Return what is wrong with `name`, as one problem whose advice says each fault."""
    text = normalised(name)
    faults = []
    if not CHARACTERS_MIN <= len(text) <= CHARACTERS_MAX:
        faults.append(f"it has {len(text)} characters, {CHARACTERS_MIN} to {CHARACTERS_MAX} are allowed")
    if text and not _is_letter(text[0]):
        faults.append(f"it begins with {text[0]!a}, which is no letter")
    foreign = dict.fromkeys(character for character in text[1:] if not _is_allowed(character))
    if foreign:
        shown = " ".join(f"{character!a}" for character in list(foreign)[:8])
        faults.append(f"it contains {shown}; letters, digits and . : _ - are allowed")
    if text.casefold().startswith(RESERVED_PREFIXES):
        faults.append("it begins with acs: or aliyun, which are reserved")
    if not faults:
        return []
    return [problem(Code.NAME_MALFORMED, field="name", value=text, advice=f"change the name: {'; '.join(faults)}")]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L")


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or _is_letter(character) or unicodedata.category(character) == "Nd"
