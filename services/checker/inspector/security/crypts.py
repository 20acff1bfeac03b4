# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computing password hashes: libcrypt through ctypes where the system has it, else what `hashlib` can do.

`libcrypt` (libxcrypt) knows every scheme of crypt(5). The library is opened when this is imported: afterwards the inspector opens
nothing. Python's own `crypt` module is gone in 3.13; passlib is no longer kept up.
"""

import ctypes
import hashlib
from collections.abc import Callable

_DATA_BYTES = 32768  # sizeof(struct crypt_data) in crypt.h
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
_BASE64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_MAX = 16

Crypt = Callable[[bytes, str], str | None]
"""From a password and a whole hash, whose scheme, cost and salt are used, to the hash of that password; None where it cannot."""


def _open_libcrypt() -> Crypt | None:
    for name in _LIBRARIES:
        try:
            return _with_library(ctypes.CDLL(name))
        except (OSError, AttributeError):  # not there, or an old one without crypt_rn
            continue
    return None


def _with_library(library: ctypes.CDLL) -> Crypt:
    crypt_rn = library.crypt_rn
    crypt_rn.restype = ctypes.c_char_p
    crypt_rn.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
    data = ctypes.create_string_buffer(_DATA_BYTES)

    def crypt(password: bytes, setting: str) -> str | None:
        found: bytes | None = crypt_rn(password, setting.encode(), data, _DATA_BYTES)
        return None if found is None else found.decode("ascii", "replace")

    return crypt


def sha_crypt(password: bytes, setting: str) -> str | None:
    """Return the sha256crypt or sha512crypt hash; None for other schemes.

    Source: U. Drepper, Unix crypt using SHA-256 and SHA-512, version 0.6; the steps' numbers are that document's.
    """
    kinds = {"$5$": (hashlib.sha256, _ORDER_256), "$6$": (hashlib.sha512, _ORDER_512)}
    if setting[:3] not in kinds:
        return None
    new, order = kinds[setting[:3]]
    fields = setting[3:].split("$")
    rounds, prefix = 5000, ""
    if fields[0].startswith("rounds="):
        digits = fields.pop(0)[7:]
        if not fields or not (digits.isascii() and digits.isdigit()):
            return None
        rounds = min(max(int(digits), 1000), 999_999_999)
        prefix = f"rounds={rounds}$"
    salt = fields[0][:_SALT_MAX].encode()
    size = new().digest_size
    second = new(password + salt + password).digest()  # 4-8
    first = new(password + salt + _stretched(second, len(password)))  # 1-3, 9-10
    length = len(password)
    while length:  # 11
        first.update(second if length & 1 else password)
        length >>= 1
    result = first.digest()
    p_bytes = _stretched(new(password * len(password)).digest(), len(password))  # 13-16
    s_bytes = _stretched(new(salt * (16 + result[0])).digest(), len(salt))  # 17-20
    for number in range(rounds):  # 21
        block = (p_bytes if number & 1 else result) + (s_bytes if number % 3 else b"") + (p_bytes if number % 7 else b"")
        result = new(block + (result if number & 1 else p_bytes)).digest()
    assert len(result) == size
    return f"{setting[:3]}{prefix}{salt.decode()}${_encoded(result, order)}"


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _groups(third: int) -> list[tuple[int, int, int]]:
    """Return the order of step 22: the three thirds of the digest, rotated from one group of three bytes to the next."""
    step = 2 if third == 10 else 1
    found = []
    for number in range(third):
        turn = (number * step) % 3
        places = [number, number + third, number + 2 * third]
        found.append((places[turn], places[(turn + 1) % 3], places[(turn + 2) % 3]))
    return found


_ORDER_256: tuple[tuple[int, ...], ...] = (*_groups(10), (31, 30))
_ORDER_512: tuple[tuple[int, ...], ...] = (*_groups(21), (63,))


def _encoded(digest: bytes, order: tuple[tuple[int, ...], ...]) -> str:
    text = ""
    for places in order:
        word = int.from_bytes(bytes(digest[place] for place in places))
        for _ in range(len(places) + 1):
            text += _BASE64[word & 63]
            word >>= 6
    return text


LIBCRYPT = _open_libcrypt()
CRYPT: Crypt = LIBCRYPT or sha_crypt
SCHEMES_WITHOUT_LIBCRYPT = frozenset({"sha256crypt", "sha512crypt"})
