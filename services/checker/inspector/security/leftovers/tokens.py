# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tokens in any text, by the forms that their makers gave them.

Every pattern begins with fixed letters, and repeats are bounded: matching is linear in the text.
"""

import re
import zlib
from collections.abc import Callable, Iterator

from security.leftovers.secret import Found, Secret, collected, entropy_bits, is_placeholder

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _has_checksum(token: str) -> bool:
    """Whether its last six characters are the CRC-32 of the thirty before, in base 62: so GitHub and npm make them."""
    body = token[-36:]
    value = zlib.crc32(body[:30].encode())
    digits = ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits == body[30:]


def _is_random(token: str) -> bool:
    """Whether it looks drawn by chance, and not typed into a manual."""
    return entropy_bits(token[4:]) >= 3.0 and not is_placeholder(token) and "example" not in token.lower()


_KINDS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("GitHub token", r"gh[oprsu]_[A-Za-z0-9]{36}", _has_checksum),
    ("GitHub fine-grained token", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", _is_random),
    ("npm token", r"npm_[A-Za-z0-9]{36}", _has_checksum),
    ("GitLab token", r"glpat-[A-Za-z0-9_-]{20}", _is_random),
    ("Slack token", r"xox[abprs]-[0-9]{8,14}-[A-Za-z0-9-]{20,80}", _is_random),
    ("Google API key", r"AIza[A-Za-z0-9_-]{35}", _is_random),
    ("Stripe key", r"[rs]k_live_[A-Za-z0-9]{24,99}", _is_random),
    ("PyPI token", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,250}", _is_random),
    ("Hugging Face token", r"hf_[A-Za-z]{34}", _is_random),
    ("SendGrid key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", _is_random),
    ("DigitalOcean token", r"do[opr]_v1_[0-9a-f]{64}", _is_random),
    ("Anthropic key", r"sk-ant-[a-z0-9]{2,8}-[A-Za-z0-9_-]{80,120}", _is_random),
    ("OpenAI key", r"sk-[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100}", _is_random),
    ("Docker Hub token", r"dckr_pat_[A-Za-z0-9_-]{27}", _is_random),
    ("Vault token", r"hvs\.[A-Za-z0-9_-]{90,120}", _is_random),
    ("age key", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", _is_random),
)
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])(?:" + "|".join(f"({pattern})" for _, pattern, _ in _KINDS) + r")(?![A-Za-z0-9])")
_TOKEN_STARTS = re.compile(
    rb"gh[oprsu]_|github_pat_|npm_|glpat-|xox[abprs]-|AIza|k_live_|pypi-Ag|hf_|SG\.|_v1_|sk-|dckr_pat_|hvs\.|AGE-SECRET"
)


def has_tokens(data: bytes) -> bool:
    """Whether there may be a token in it: a quick look that spares most files the slow one."""
    return _TOKEN_STARTS.search(data) is not None


def tokens(lines: list[str]) -> list[Secret]:
    """Return the tokens, whatever stands around them."""
    return collected(lines, tokens_of)


def tokens_of(piece: str) -> Iterator[Found]:
    """Yield the tokens in a piece of a line."""
    for match in _TOKEN.finditer(piece):
        what, _, is_real = _KINDS[(match.lastindex or 1) - 1]
        if is_real(match[0]):
            yield what, match[0], True
