# SPDX-License-Identifier: AGPL-3.0-or-later
"""Private keys and authorized keys. Sources: RFC 7468 (PEM), OpenSSH PROTOCOL.key, PuTTY's .ppk, sshd(8) AUTHORIZED_KEYS."""

import base64
import binascii
import re

from security.leftovers.secret import Secret

_BODY_BYTES_MAX = 64 * 1024
_KEYS_MAX = 16
_DECODED_BYTES_MIN = 32
_LINE_CHARACTERS_MAX = 16 * 1024
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9]{2,12} |)PRIVATE KEY( BLOCK|)-----")
_HEADERS = re.compile(rb"(?m)^[A-Za-z-]{1,30}: [^\n]{0,200}$")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")
_PUTTY = re.compile(rb"PuTTY-User-Key-File-([23]): ([a-z0-9@.-]{1,40})\r?\n")
_AUTHORIZED = re.compile(
    r"(?:^|[\s,\"])((?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))(?:-cert-v01)?(?:@openssh\.com)?)"
    r"[ \t]{1,8}AAAA[A-Za-z0-9+/=]{20,}(?:[ \t]{1,8}(\S{1,64}))?"
)


def private_keys(data: bytes) -> list[Secret]:
    """Return the private keys in a file, those that are whole; keys inside JSON too, with escaped line ends."""
    found: list[Secret] = []
    for begin in _BEGIN.finditer(data):
        if len(found) >= _KEYS_MAX:
            break
        # The next dashes must be those of its end: so that a thousand beginnings are not read a thousand times.
        end = data.find(b"-----", begin.end(), begin.end() + _BODY_BYTES_MAX)
        what = _judged(begin[1].decode().strip(), data[begin.end() : end]) if data[end : end + 9] == b"-----END " else None
        if what is not None:
            found.append(Secret(what, data.count(b"\n", 0, begin.start()) + 1))
    putty = _PUTTY.match(data)
    if putty is not None and b"Private-Lines: " in data:
        locked = b"\nEncryption: none" not in data
        found.append(Secret(f"PuTTY private key ({putty[2].decode()}){_locked(locked)}", 1))
    return found


def _judged(kind: str, body: bytes) -> str | None:
    """Return what key it is; None where there is no key between the lines, as in a manual or in a program's text."""
    lines = body.replace(b"\\r", b"").replace(b"\\n", b"\n").replace(b"\r", b"")
    locked = b"ENCRYPTED" in lines or kind == "ENCRYPTED"
    text = _NOT_BASE64.sub(b"", _HEADERS.sub(b"", lines))
    if kind == "PGP":
        # Its last line is a checksum after an equals sign, in base 64 of its own.
        return "PGP private key" if len(text) > 4 * _DECODED_BYTES_MIN else None
    try:
        key = base64.b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(key) < _DECODED_BYTES_MIN:
        return None
    if key.startswith(b"openssh-key-v1\0"):
        cipher = key[19 : 19 + min(64, int.from_bytes(key[15:19]))]
        return f"OpenSSH private key{_locked(cipher != b'none')}"
    is_der = key[0] == 0x30
    return f"private key ({kind or 'PKCS #8'}){_locked(locked)}" if is_der or locked else None


def _locked(locked: bool) -> str:  # noqa: FBT001 - a suffix
    return ", with a passphrase" if locked else ""


def authorized_keys(lines: list[str]) -> list[Secret]:
    """Return the keys that may log in, by kind and comment, which are public."""
    found = []
    for number, line in enumerate(lines, start=1):
        key = None if line.lstrip().startswith("#") else _AUTHORIZED.search(line[:_LINE_CHARACTERS_MAX])
        if key is not None:
            found.append(Secret(f"{key[1]} key{f' of {key[2]}' if key[2] else ''}", number))
    return found
