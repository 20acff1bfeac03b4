"""Problems: what a refusal names, one for each broken rule."""

from collections.abc import Iterable
from typing import Final

from shared.contracts.answers import EvidenceList, Problem
from shared.contracts.codes import CODES, Code

PROBLEMS_MAX: Final = 32
_VALUE_CHARACTERS_MAX: Final = 256


def problem(
    code: Code,
    *,
    field: str | None = None,
    value: str | None = None,
    advice: str | None = None,
    item: str | None = None,
    level: str | None = None,
    evidence: EvidenceList | None = None,
) -> Problem:
    """Return the problem `code`: its rule and its usual advice from the table of codes, `value` cut to what an event carries."""
    return Problem(
        code=code.value,
        rule=CODES[code].rule,
        advice=advice or CODES[code].advice,
        field=field,
        value=None if value is None else value[:_VALUE_CHARACTERS_MAX],
        item=item,
        level=level,
        evidence=evidence,
    )


def retryable(problems: Iterable[Problem]) -> bool:
    """Whether asking again, with nothing changed, may help: every one of `problems` may pass by itself."""
    found = [CODES[Code(problem.code)].retryable for problem in problems]
    return bool(found) and all(found)


def codes_of(problems: Iterable[Problem]) -> str:
    """Return the codes of `problems`, each once, as one line."""
    return ", ".join(dict.fromkeys(problem.code for problem in problems))
