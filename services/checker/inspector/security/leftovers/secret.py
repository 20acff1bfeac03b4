# SPDX-License-Identifier: AGPL-3.0-or-later
"""A secret that was found, told without telling it."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_FIRST = 4
_PLACEHOLDER = re.compile(
    r"[*.#x_X0-]+|[<$%{\[`@].*|.*\.\.\.|.*(?:example|changeme|change_me|placeholder|redacted|dummy|insert|your[-_]|<|xxxx|\*\*\*|\$\{|\$\().*"
    r"|none|null|nil|true|false|yes|no|password|passwd|secret|token|prompt|ask|unset|disabled|undefined",
    re.IGNORECASE,
)
_PLACEHOLDER_CHARACTERS_MAX = 512
PIECE_CHARACTERS = 4096
_OVERLAP_CHARACTERS = 512
_SECRETS_MAX = 32
Found = tuple[str, str, bool]
"""What it is, the secret itself, and whether it is sure to be one."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: what it is, the line (from 1) it begins in, and it itself masked; not `sure` where it may be a mere word."""

    what: str
    line: int | None
    masked: str = ""
    sure: bool = True

    @property
    def text(self) -> str:
        """What evidence says of it."""
        return f"{self.what}: {self.masked}" if self.masked else self.what


def masked(secret: str) -> str:
    """Return the first characters and the length: enough to know it again, too little to use it."""
    return f"{secret[: min(_FIRST, len(secret) // 4)]}… ({len(secret)} characters)"


def is_placeholder(text: str) -> bool:
    """Whether `text` stands for a value that is to be filled in, or comes from elsewhere when it is used."""
    return not text or _PLACEHOLDER.fullmatch(text[:_PLACEHOLDER_CHARACTERS_MAX]) is not None or len(set(text)) < 3


def entropy_bits(text: str) -> float:
    """Return the mean information of a character, in bits: random base 64 of 40 characters has about 4.7, words about 3."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values()) if text else 0.0


def collected(lines: list[str], find: Callable[[str], Iterable[Found]]) -> list[Secret]:
    """Return what `find` finds in the lines, each secret of a line once; long lines are cut into pieces that overlap."""
    found: dict[tuple[int, str], Secret] = {}
    for number, line in enumerate(lines, start=1):
        for start in range(0, len(line), PIECE_CHARACTERS - _OVERLAP_CHARACTERS):
            for what, secret, sure in find(line[start : start + PIECE_CHARACTERS]):
                found.setdefault((number, secret), Secret(what, number, masked(secret), sure))
        if len(found) >= _SECRETS_MAX:
            break
    return list(found.values())
