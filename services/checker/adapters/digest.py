"""The digest of a stored file's bytes, worked out beside the inspection and bounded in nothing but the file's own size."""

import hashlib
import os
import threading
from dataclasses import dataclass
from typing import Final

_CHUNK_BYTES: Final = 4 * 1024 * 1024


class Cancelled(Exception):
    """The digest was not wanted any more."""


@dataclass(slots=True)
class Hashed:
    """How far a digest is, in bytes."""

    size_bytes: int = 0


def digest_of(descriptor: int, cancelled: threading.Event, hashed: Hashed) -> str:
    """Return `sha256:…` of the file open at `descriptor`, from its beginning to its end now; `hashed` follows how far it is.

    Reads by position, so that whoever shares the descriptor is not disturbed. Runs in a thread: hashing releases the interpreter.
    Raises `Cancelled` soon after `cancelled` is set, `OSError` if the file cannot be read.
    """
    digest = hashlib.sha256()
    while chunk := os.pread(descriptor, _CHUNK_BYTES, hashed.size_bytes):
        if cancelled.is_set():
            raise Cancelled
        digest.update(chunk)
        hashed.size_bytes += len(chunk)
    return f"sha256:{digest.hexdigest()}"
