# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is said of the image by others: its name, and what its metadata claims. Compared with what is found, never believed."""

import json
from dataclasses import dataclass

from findings import Unreadable

NAME_CHARACTERS_MAX = 256
CLAIMS_CHARACTERS_MAX = 4096
_VALUE_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Claimed:
    """The name, and the metadata's claims; what is not claimed is None."""

    name: str | None = None
    os_type: str | None = None
    platform: str | None = None
    architecture: str | None = None
    boot_mode: str | None = None


def claimed(name: str | None, claims: str | None) -> Claimed:
    """Return what the arguments `--name` and `--claims` (a JSON object of texts) say.

    A longer name than any image has is cut; claims that make no sense raise `Unreadable`, as our own caller never writes them.
    """
    name = None if name is None else name[:NAME_CHARACTERS_MAX]
    if claims is None:
        return Claimed(name)
    if len(claims) > CLAIMS_CHARACTERS_MAX:
        raise Unreadable("ClaimsTooLong", f"claims of more than {CLAIMS_CHARACTERS_MAX} characters")
    try:
        document = json.loads(claims)
    except (ValueError, RecursionError) as error:
        raise Unreadable("ClaimsMalformed", "the claims are no JSON") from error
    if not isinstance(document, dict):
        raise Unreadable("ClaimsMalformed", "the claims are no JSON object")
    texts = {key: value for key, value in document.items() if isinstance(value, str) and len(value) <= _VALUE_CHARACTERS_MAX}
    return Claimed(name, *(texts.get(key) for key in ("os_type", "platform", "architecture", "boot_mode")))
