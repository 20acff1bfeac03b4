"""Rule 7: a description is required: 2-256 characters as one line without control characters, not beginning with http(s)://.

Change notes in seven headings take its place: each heading filled in, without control characters but line feeds.
"""

import unicodedata
from typing import Final

from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code
from shared.contracts.requests import ChangeNotes

CHARACTERS_MIN: Final = 2
CHARACTERS_MAX: Final = 256
_NOT_IN_FRONT: Final = ("http://", "https://")
# Unicode's own line and paragraph separators break a line as a control character does.
_LINE_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})


def judge_description(description: str | None, change_notes: ChangeNotes | None) -> list[Problem]:
    """Return what is wrong with the description, or with the change notes given in its place."""
    if change_notes is not None:
        if description is not None:
            advice = "give either a description or change notes, not both"
            return [problem(Code.DESCRIPTION_MALFORMED, field="description", value=description, advice=advice)]
        return _judge_notes(change_notes)
    if description is None:
        return [problem(Code.DESCRIPTION_MALFORMED, field="description", advice="give a description; it is required")]
    text = unicodedata.normalize("NFC", description)
    faults = []
    if not CHARACTERS_MIN <= len(text) <= CHARACTERS_MAX:
        faults.append(f"it has {len(text)} characters, {CHARACTERS_MIN} to {CHARACTERS_MAX} are allowed")
    if any(unicodedata.category(character) in _LINE_BREAKING for character in text):
        faults.append("it contains control characters or more than one line")
    if not text.strip():
        faults.append("it is blank")
    if text.casefold().startswith(_NOT_IN_FRONT):
        faults.append("it begins with http:// or https://")
    if not faults:
        return []
    return [problem(Code.DESCRIPTION_MALFORMED, field="description", value=text, advice=f"change it: {'; '.join(faults)}")]


def _judge_notes(notes: ChangeNotes) -> list[Problem]:
    problems = []
    for heading in ChangeNotes.model_fields:
        text: str = getattr(notes, heading)
        if not text.strip():
            advice = "fill in every heading; write `none` where nothing changed"
        elif any(unicodedata.category(character) == "Cc" and character != "\n" for character in text):
            advice = "take the control characters out"
        else:
            continue
        problems.append(problem(Code.DESCRIPTION_MALFORMED, field=f"change_notes.{heading}", value=text, advice=advice))
    return problems
