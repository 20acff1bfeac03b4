# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tokens in any text, by the forms that their makers gave them; and passwords in commands and assignments.

Every pattern begins with fixed letters or at a word's start, and repeats are bounded: matching is linear in the text.
"""

import re
import zlib
from collections.abc import Callable, Iterator

from security.leftovers.secret import Secret, entropy_bits, is_placeholder, masked

PIECE_CHARACTERS = 4096
_OVERLAP_CHARACTERS = 512
_SECRETS_MAX = 32
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
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_.])([A-Za-z][A-Za-z0-9_.-]{1,60})[\"']?[ \t]{0,4}[=:][ \t]{0,4}[\"']?([^\s\"'`;|<>]{6,256})"
)
_SECRET_NAME = re.compile(
    r"(?:.*[_.-])?(?:secret_?access_?key|access_?key_?secret|secret_?key|api_?key|client_?secret|auth_?token|access_?token"
    r"|token|secret)",
    re.IGNORECASE,
)
_PASSWORD_NAME = re.compile(r"(?:.*[_.-])?(?:password|passwd|passphrase|pgpassword|sshpass|mysql_pwd)", re.IGNORECASE)
_TOKEN_CHARACTERS_MIN = 16
_COMMANDS = (
    re.compile(r"\bsshpass[ \t]{1,4}-p[ \t]{0,4}[\"']?([^\s\"']{4,128})"),
    re.compile(r"\bmysql(?:dump|admin)?[ \t][^|;\n]{0,120}?[ \t]-p[\"']?([^\s\"'-][^\s\"']{3,128})"),
    re.compile(r"\bcurl[ \t][^|;\n]{0,200}?(?:-u|--user)[ \t]{1,4}[\"']?[^\s\"':]{1,64}:([^\s\"']{4,128})"),
    re.compile(r"\bdocker[ \t]{1,4}login[ \t][^|;\n]{0,200}?(?:-p|--password)[ \t=]{1,4}[\"']?([^\s\"']{4,128})"),
    re.compile(r"--(?:db-?|admin-?|root-?)?pass(?:word|wd)[ \t=]{1,4}[\"']?([^\s\"'-][^\s\"']{3,128})"),
    re.compile(
        r"\becho[ \t][^|\n]{0,20}?[\"']?[a-z_][a-z0-9_-]{0,31}:([^\s\"'|]{4,128})[\"']?[ \t]{0,4}\|[ \t]{0,4}(?:sudo[ \t])?"
        r"[ \t]{0,4}chpasswd"
    ),
    re.compile(r"\bAuthorization:[ \t]{0,4}(?:Bearer|Basic|token)[ \t]{1,4}([A-Za-z0-9+/=_.~-]{16,512})"),
)
_URL = re.compile(r"\b[a-z][a-z0-9+]{1,15}://[^\s/:@\"'<>]{1,64}:([^\s/@\"'<>]{4,128})@[A-Za-z0-9.\[-]")


def has_tokens(data: bytes) -> bool:
    """Whether there may be a token in it: a quick look that spares most files the slow one."""
    return _TOKEN_STARTS.search(data) is not None


def tokens(lines: list[str]) -> list[Secret]:
    """Return the tokens, whatever stands around them."""
    return _collected(lines, _tokens_of)


def tokens_and_passwords(lines: list[str]) -> list[Secret]:
    """Return the tokens, and what a shell's history or a file of variables gives away besides."""
    return _collected(lines, lambda piece: _first(_tokens_of(piece), _commands_of(piece), _assignments_of(piece)))


def _collected(lines: list[str], find: Callable[[str], Iterator[tuple[str, str]]]) -> list[Secret]:
    found: dict[tuple[int, str], Secret] = {}
    for number, line in enumerate(lines, start=1):
        for start in range(0, len(line), PIECE_CHARACTERS - _OVERLAP_CHARACTERS):
            for what, secret in find(line[start : start + PIECE_CHARACTERS]):
                found.setdefault((number, secret), Secret(what, number, masked(secret)))
        if len(found) >= _SECRETS_MAX:
            break
    return list(found.values())


def _first(*found: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each secret once, under the first name it was found by."""
    seen: set[str] = set()
    for several in found:
        for what, secret in several:
            if secret not in seen:
                seen.add(secret)
                yield what, secret


def _tokens_of(piece: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(piece):
        what, _, is_real = _KINDS[(match.lastindex or 1) - 1]
        if is_real(match[0]):
            yield what, match[0]


def _commands_of(piece: str) -> Iterator[tuple[str, str]]:
    for pattern in _COMMANDS:
        for match in pattern.finditer(piece):
            if not is_placeholder(match[1]):
                yield "password or token in a command", match[1]
    for match in _URL.finditer(piece):
        if not is_placeholder(match[1]):
            yield "password in an address", match[1]


def _assignments_of(piece: str) -> Iterator[tuple[str, str]]:
    for match in _ASSIGNMENT.finditer(piece):
        name, value = match[1], match[2].rstrip(",)")
        if is_placeholder(value) or value.startswith(("/", "~")):
            continue
        is_token = _SECRET_NAME.fullmatch(name) and len(value) >= _TOKEN_CHARACTERS_MIN and entropy_bits(value) >= 3.0
        if is_token or _PASSWORD_NAME.fullmatch(name):
            yield f"value of {name}", value
