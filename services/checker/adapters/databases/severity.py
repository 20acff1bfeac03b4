"""How severe a vulnerability is, by its CVSS vectors of any version. Source: FIRST's specifications."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from services.checker.domain.advisories import severity_of_word, worst
from shared.contracts.gate import Severity

_VECTOR_MAX: Final = 512


def severity_of_vectors(vectors: Iterable[str]) -> Severity | None:
    """Return the worst severity of CVSS vectors; what is no vector rates nothing."""
    found: Severity | None = None
    for vector in vectors:
        found = worst(found, _severity(vector))
    return found


@lru_cache(maxsize=1 << 14)
def _severity(vector: str) -> Severity | None:
    if len(vector) > _VECTOR_MAX:
        return None
    from cvss import CVSS2, CVSS3, CVSS4  # noqa: PLC0415 - it takes a while, and only loading a database needs it
    from cvss.exceptions import CVSSError  # noqa: PLC0415

    readers: tuple[tuple[str, Callable[[str], Any]], ...] = (
        ("CVSS:4", lambda text: CVSS4(text).severity),
        ("CVSS:3", lambda text: CVSS3(text).severities()[0]),
        ("AV:", lambda text: CVSS2(text).severities()[0]),
    )
    try:
        word = next((read(vector) for prefix, read in readers if vector.startswith(prefix)), None)
    except (CVSSError, ValueError, ArithmeticError, KeyError):
        return None
    # A base score of 0 is a rating all the same.
    return "low" if word == "None" else severity_of_word(word)
