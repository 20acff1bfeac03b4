"""A stack's folder is held by one supervisor at a time; the kernel lets go of it however that process ends."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_NAME: Final = "supervisor.lock"
_TRIES: Final = 5
_PAUSE_S: Final = 0.02


def take(folder: Path) -> int | None:
    """Take `folder`; returns the descriptor that holds it until it is closed, or None while another process has it."""
    descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)  # someone may only be looking, in `is_held`
        else:
            return descriptor
    os.close(descriptor)
    return None


def is_there(folder: Path) -> bool:
    """Whether `folder` was ever taken."""
    return (folder / _NAME).exists()


def is_held(folder: Path) -> bool:
    """Whether a live supervisor has `folder`. A process id in a file cannot tell: the number may be another process's by now."""
    try:
        descriptor = os.open(folder / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that look at once do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
