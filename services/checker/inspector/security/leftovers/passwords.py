# SPDX-License-Identifier: AGPL-3.0-or-later
"""Passwords and nameless tokens in commands, assignments and addresses: found by what stands before, weighed by what they are.

A word in that place says little: a text about passwords looks the same, and what is on every list of passwords tells an attacker
nothing. So a value must be one that no sentence has, the less the place says, the more so.
"""

import re
from collections.abc import Iterator
from enum import Enum, IntEnum

from security.leftovers.secret import Found, Secret, collected, entropy_bits, is_placeholder
from security.leftovers.tokens import tokens_of

_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_.])([A-Za-z][A-Za-z0-9_.-]{1,60})[\"']?[ \t]{0,4}([=:])[ \t]{0,4}[\"']?([^\s\"'`;|<>]{6,256})"
)
_TOKEN_NAME = re.compile(
    r"(?:.*[_.-])?(?:secret_?access_?key|access_?key_?secret|secret_?key(?:_?base)?|api_?key|app_?key|client_?secret|auth_?token"
    r"|access_?token|private_?token|(?:encryption|signing|jwt)_?key|token|secret)",
    re.IGNORECASE,
)
_PASSWORD_NAME = re.compile(
    r"(?:.*[_.-])?(?:password|passwd|passphrase|pgpassword|sshpass|mysql_pwd)|.*[_.-](?:pass|pwd)", re.IGNORECASE
)
_COMMANDS = (
    re.compile(r"\bsshpass[ \t]{1,4}-p[ \t]{0,4}[\"']?(?P<value>[^\s\"']{4,128})"),
    re.compile(r"\bmysql(?:dump|admin)?[ \t][^|;\n]{0,120}?[ \t]-p[\"']?(?P<value>[^\s\"'-][^\s\"']{3,128})"),
    re.compile(r"\bcurl[ \t][^|;\n]{0,200}?(?:-u|--user)[ \t]{1,4}[\"']?(?P<user>[^\s\"':]{1,64}):(?P<value>[^\s\"']{4,128})"),
    re.compile(r"\bdocker[ \t]{1,4}login[ \t][^|;\n]{0,200}?(?:-p|--password)[ \t=]{1,4}[\"']?(?P<value>[^\s\"']{4,128})"),
    re.compile(r"--(?:db-?|admin-?|root-?)?pass(?:word|wd)[ \t=]{1,4}[\"']?(?P<value>[^\s\"'-][^\s\"']{3,128})"),
    re.compile(
        r"\becho[ \t][^|\n]{0,20}?[\"']?(?P<user>[a-z_][a-z0-9_-]{0,31}):(?P<value>[^\s\"'|]{4,128})[\"']?[ \t]{0,4}\|[ \t]{0,4}"
        r"(?:sudo[ \t])?[ \t]{0,4}chpasswd"
    ),
    re.compile(r"\bAuthorization:[ \t]{0,4}(?:Bearer|Basic|token)[ \t]{1,4}(?P<value>[A-Za-z0-9+/=_.~-]{16,512})"),
)
_URL = re.compile(r"\b[a-z][a-z0-9+]{1,15}://([^\s/:@\"'<>]{0,64}):([^\s/@\"'<>]{4,128})@([A-Za-z0-9.\[-][A-Za-z0-9.:-]{0,253})")
_EXAMPLE_HOST = re.compile(r"(?:.*\.)?(?:example(?:\.[a-z]{2,3})?|test|invalid)(?::[0-9]{1,5})?", re.IGNORECASE)
_COMMENT = re.compile(r"[ \t]*(?:#|//|;|--[ \t])")

_ELSEWHERE = re.compile(
    # What names the place of a secret: of a vault, of a file, of an encrypted value, of a variable, of a function's result.
    r"(?:arn|vault|sops|op|ssm|secretsmanager|azurekms|gcpkms|awskms|env|file|ref\+[a-z]+|projects|keyring|pass|systemd)[:/].*"
    r"|ENC[\[(].*|[~/].*|\.{1,2}/.*|[A-Za-z]:\\.*|%.*|!.*|&[a-z].*|https?://[^@]*|[A-Za-z_]\w*->.*|[a-z]+(?:_[a-z0-9]+)+\(.*"
    r"|(?:os|sys|process|config|settings|self|this|args|opts|options|params|request|kwargs|env|environ|data|var|local|getpass|input|"
    r"prompt|random|secrets?|uuid|base64|hashlib|lookup|get|read|fetch|generate|create|str|new|await|crypto|module)[.(\[].*",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"[A-Z]?[a-z]*(?:[-_./+:,@&=?!*^~#][A-Z]?[a-z]*)*|[A-Z]+(?:[-_.][A-Z]+)*|[a-z]*(?:[A-Z][a-z]{2,})+|[a-z]+[0-9]{1,2}[a-z]*|[0-9.:,_-]{1,12}"
)
# The longer of two that begin alike comes first: nothing is tried twice.
_ON_EVERY_LIST = re.compile(
    r"(?:(?:p[a4@]ss(?:w[o0]rd|wd|phrase)?|pwd?|s[e3]cr[e3]t|key|token|root|r00t|t[o0]{2}r|administrator|admin|adm1n|username|user"
    r"|guest|testing|test|demo|default|temp|dev|qwert[yz]|asdf|zxcv|letmein|welcome|hello|change|login|foo|bar|baz|hunter|vagrant"
    r"|ubuntu|debian|centos|docker|postgresql|postgres|mysql|mariadb|redis|rabbitmq|rabbit|minio|elastic|grafana|keycloak|jenkins"
    r"|nexus|sonar|zabbix|oracle|cisco|raspberry|alpine|strong|super|very|your|some|the|new|old|top|app|abc|xyz|db|my|me|it|a)[-_.]?)++"
    r"[-_.!@#$]{0,2}[0-9]{0,8}[!@#$.*]{0,3}|1q2w3e4r(?:5t)?[!@#$]{0,3}|[!1]qaz(?:[@2]wsx)?[!@#$]{0,3}",
    re.IGNORECASE,
)
_RANDOM_CHARACTERS_MIN = 12
_LONG_CHARACTERS_MIN = 16
_MIXED_BITS_MIN = 2.0
_RANDOM_BITS_MIN = 3.0


class Strength(IntEnum):
    """What a value may be: nothing of its own, a word or what everybody tries first, a password, something drawn by chance."""

    NONE = 0
    WORD = 1
    MIXED = 2
    RANDOM = 3


def strength(value: str) -> Strength:
    """Return what `value` may be."""
    if is_placeholder(value) or _ELSEWHERE.fullmatch(value):
        return Strength.NONE
    if _WORDS.fullmatch(value) or _ON_EVERY_LIST.fullmatch(value) or entropy_bits(value) < _MIXED_BITS_MIN:
        return Strength.WORD
    kinds = sum(any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit, lambda one: not one.isalnum()))
    is_long = len(value) >= _LONG_CHARACTERS_MIN and any(map(str.isdigit, value))
    if entropy_bits(value) >= _RANDOM_BITS_MIN and (is_long or (kinds >= 3 and len(value) >= _RANDOM_CHARACTERS_MIN)):
        return Strength.RANDOM
    return Strength.MIXED


class Place(Enum):
    """Where a line stands: what is found in an order, in a setting, or in a sentence does not weigh the same."""

    HISTORY = "history"
    VARIABLES = "variables"
    COMMENT = "comment"

    def is_sure(self, found: Strength, *, may_be_text: bool = False) -> bool:
        """Whether what looks like `found` is a secret here; in a sentence a colon is a colon."""
        is_text = self is Place.COMMENT or (may_be_text and self is Place.HISTORY)
        return found >= (Strength.RANDOM if is_text else Strength.MIXED)

    def is_told(self, found: Strength) -> bool:
        """Whether what is not sure is worth a word."""
        return found >= (Strength.WORD if self is Place.VARIABLES else Strength.MIXED)


def in_history(lines: list[str]) -> list[Secret]:
    """Return what a shell's history gives away: tokens, and the passwords in commands that are no mere words."""
    return collected(lines, lambda piece: (one for one in _found(piece, Place.HISTORY) if one[2]))


def in_variables(lines: list[str]) -> list[Secret]:
    """Return what a file of variables gives away; not sure are the words that stand in a password's place."""
    return collected(lines, lambda piece: _found(piece, Place.COMMENT if _COMMENT.match(piece) else Place.VARIABLES))


def _found(piece: str, place: Place) -> Iterator[Found]:
    """Yield each secret once, under the first name it was found by."""
    seen: set[str] = set()
    for several in (tokens_of(piece), _commands_of(piece, place), _addresses_of(piece, place), _assignments_of(piece, place)):
        for what, secret, sure in several:
            if secret not in seen:
                seen.add(secret)
                yield what, secret, sure


def _commands_of(piece: str, place: Place) -> Iterator[Found]:
    for pattern in _COMMANDS:
        for match in pattern.finditer(piece):
            value = match["value"]
            found = strength(value)
            if place.is_told(found) and match.groupdict().get("user") != value:
                yield "password or token in a command", value, place.is_sure(found)


def _addresses_of(piece: str, place: Place) -> Iterator[Found]:
    for user, value, host in _URL.findall(piece):
        found = strength(value)
        if place.is_told(found) and user != value and not _EXAMPLE_HOST.fullmatch(host):
            yield "password in an address", value, place.is_sure(found)


def _assignments_of(piece: str, place: Place, *, within: bool = False) -> Iterator[Found]:
    for name, sign, given in _ASSIGNMENT.findall(piece):
        value = given.rstrip(",)}]")
        is_token = _TOKEN_NAME.fullmatch(name) is not None
        if is_token or _PASSWORD_NAME.fullmatch(name):
            found = strength(value)
            if is_token and found == Strength.RANDOM and len(value) >= _LONG_CHARACTERS_MIN:
                yield f"value of {name}", value, True
            elif not is_token and place.is_told(found):
                yield f"value of {name}", value, place.is_sure(found, may_be_text=sign == ":")
        elif not within:
            # OPTIONS=--password=x, https://host/?token=x
            yield from _assignments_of(value, place, within=True)
