"""The digest of a stored file's bytes, worked out beside the inspection and bounded in nothing but the file's own size."""

import hashlib
import os
import threading
from typing import Final

_CHUNK_BYTES: Final = 4 * 1024 * 1024


class Cancelled(Exception):
    """The digest was not wanted any more."""


def digest_of(descriptor: int, cancelled: threading.Event) -> tuple[str, int]:
    """Return (`sha256:…`, bytes read) of the file open at `descriptor`, from its beginning to its end now.

    Reads by position, so that whoever shares the descriptor is not disturbed. Runs in a thread: hashing releases the interpreter.
    Raises `Cancelled` soon after `cancelled` is set, `OSError` if the file cannot be read.
    """
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, _CHUNK_BYTES, offset):
        if cancelled.is_set():
            raise Cancelled
        digest.update(chunk)
        offset += len(chunk)
    return f"sha256:{digest.hexdigest()}", offset
