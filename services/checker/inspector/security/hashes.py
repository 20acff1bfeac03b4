# SPDX-License-Identifier: AGPL-3.0-or-later
"""Password hashes: their scheme, and what one guess costs, read from their parameters before any is made.

Source: crypt(5) of libxcrypt; for the parameters of yescrypt its reference's encoding in base 64, of variable length.
Costs are for one core of 2020 and need to be right within a factor of a few only.
"""

import re
from dataclasses import dataclass

HASH_CHARACTERS_MAX = 384
GUESS_S_MAX = 0.5
GUESS_BYTES_MAX = 64 * 2**20
_BASE64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHA_ROUND_S = 0.26e-6
_BCRYPT_5_S = 1.6e-3
_YESCRYPT_BYTE_S = 18.6e-3 / (16 * 2**20)
_SCRYPT = re.compile(r"\$7\$([./0-9A-Za-z])([./0-9A-Za-z]{5})([./0-9A-Za-z]{5})")
_SHA = re.compile(r"\$(5|6|sm3)\$(?:rounds=([0-9]*))?")
_BCRYPT = re.compile(r"\$2[abxy]?\$([0-9]{2})\$")
_YESCRYPT = re.compile(r"\$(g|sm3)?y\$([./0-9A-Za-z]{3,40})\$")
_SHA1 = re.compile(r"\$sha1\$([0-9]{1,10})\$")
_SUN_MD5 = re.compile(r"\$md5(?:,rounds=([0-9]{1,10}))?\$")
_BSDI = re.compile(r"_([./0-9A-Za-z]{4})[./0-9A-Za-z]{15}")
_DES = re.compile(r"[./0-9A-Za-z]{13}|[./0-9A-Za-z]{24,178}")
_OTHER = re.compile(r"\$([0-9A-Za-z_,=-]{1,24})\$")
_HASH = re.compile(r"[!-9;-~]+")  # what is printable, without the colon


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme: its name in crypt(5), seconds and bytes that one guess takes. `known` is whether crypt(5) has it."""

    name: str
    guess_s: float
    guess_bytes: int = 0
    known: bool = True

    @property
    def is_affordable(self) -> bool:
        """Whether a guess can be made: it cannot be stopped once begun."""
        return self.guess_s <= GUESS_S_MAX and self.guess_bytes <= GUESS_BYTES_MAX


def scheme_of(text: str) -> Scheme | None:
    """Return the scheme of a password field; None if it is no hash, so that no password fits it (locked)."""
    if not 2 <= len(text) <= HASH_CHARACTERS_MAX or not _HASH.fullmatch(text) or text[0] in "!*":
        return None
    for read in (_sha, _bcrypt, _yescrypt, _scrypt, _old):
        found = read(text)
        if found is not None:
            return found
    other = _OTHER.match(text)
    return None if other is None else Scheme(other[1], 0.0, known=False)


def _sha(text: str) -> Scheme | None:
    found = _SHA.match(text)
    if found is None:
        return None
    rounds = min(max(int(found[2] or 5000), 1000), 999_999_999)
    name = {"5": "sha256crypt", "6": "sha512crypt", "sm3": "sm3crypt"}[found[1]]
    return Scheme(name, rounds * _SHA_ROUND_S)


def _bcrypt(text: str) -> Scheme | None:
    found = _BCRYPT.match(text)
    return None if found is None else Scheme("bcrypt", _BCRYPT_5_S * 2.0 ** (int(found[1]) - 5))


def _scrypt(text: str) -> Scheme | None:
    found = _SCRYPT.match(text)
    if found is None:
        return None
    block, parallel = (sum(_BASE64.index(one) << 6 * at for at, one in enumerate(digits)) for digits in found.groups()[1:])
    size = 128 * block << _BASE64.index(found[1])
    return Scheme("scrypt", 2 * size * max(1, parallel) * _YESCRYPT_BYTE_S, size)


def _yescrypt(text: str) -> Scheme | None:
    found = _YESCRYPT.match(text)
    if found is None:
        return None
    name = {None: "yescrypt", "g": "gost-yescrypt", "sm3": "sm3-yescrypt"}[found[1]]
    digits = list(found[2])
    parallel, more_time = 1, 0
    try:
        _number(digits, 0)
        log2, block = _number(digits, 1), _number(digits, 1)
        present = _number(digits, 1) if digits else 0
        if present & 1:
            parallel = _number(digits, 2)
        if present & 2:
            more_time = _number(digits, 1)
        if present & ~3:
            return Scheme(name, float("inf"))
    except IndexError:
        return Scheme(name, float("inf"))
    size = 128 * block << min(log2, 64)
    return Scheme(name, size * parallel * (1.0 + more_time) * _YESCRYPT_BYTE_S, size)


def _number(digits: list[str], smallest: int) -> int:
    """Take one number off the front: the first digit's range says how many follow. Raises `IndexError` where it is cut off."""
    digit = _BASE64.index(digits.pop(0))
    start, end, more = 0, 47, 0
    value = smallest
    while digit > end:
        value += (end + 1 - start) << 6 * more
        start, end, more = end + 1, end + 1 + (62 - end) // 2, more + 1
    value += (digit - start) << 6 * more
    for place in reversed(range(more)):
        value += _BASE64.index(digits.pop(0)) << 6 * place
    return value


def _old(text: str) -> Scheme | None:
    """Tell the schemes that are cheap, or that no system makes any more."""
    if text.startswith("$1$"):
        return Scheme("md5crypt", 0.25e-3)
    if text.startswith("$3$"):
        return Scheme("nt", 2e-6)
    if found := _SHA1.match(text):
        return Scheme("sha1crypt", int(found[1]) * 0.6e-6)
    if found := _SUN_MD5.match(text):
        return Scheme("sunmd5", (4096 + int(found[1] or 0)) * 2e-6)
    if found := _BSDI.fullmatch(text):
        return Scheme("bsdicrypt", sum(_BASE64.index(one) << 6 * at for at, one in enumerate(found[1])) * 2e-6)
    return Scheme("descrypt", 0.1e-3) if _DES.fullmatch(text) else None
