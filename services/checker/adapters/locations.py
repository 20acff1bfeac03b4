"""From the location in an event to an open file: beneath the configured roots, regular files, nothing else.

Source: openat2(2), RESOLVE_BENEATH.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

_SYS_OPENAT2: Final = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
# A FIFO must not block, a terminal must not become ours.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_SHOWN_MAX: Final = 160
_libc: Final = ctypes.CDLL(None, use_errno=True)


class LocationRefused(Exception):
    """The location is not one that this service opens; the text says `why` and, as `advice`, what to do.

    `detail` is what only whoever runs the checker is told: names and addresses inside, words of a server.
    """

    def __init__(self, why: str, advice: str = "", *, detail: str = "") -> None:
        super().__init__(f"{why}: {advice}" if advice else why)
        self.why, self.advice, self.detail = why, advice, detail


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_location(location: str, roots: Sequence[Path]) -> int:
    """Open the regular file that `location` (`file:///…`) names beneath one of `roots`; returns its descriptor.

    Raises `LocationRefused`. Symbolic links count only as far as they stay beneath the root.
    """
    path, location = _path_of(location), _shown(location)
    for root in roots:
        trusted = os.fsencode(root.resolve())
        for base in {trusted, os.fsencode(root.absolute())}:
            if path.startswith(base.rstrip(b"/") + b"/"):
                return _open_beneath(trusted, path[len(base.rstrip(b"/")) + 1 :], location)
    message = f"{location}: not beneath the configured image roots"
    raise LocationRefused(message)


def _shown(location: str) -> str:
    """Shorten a long location, so that what is said of it still has room where it is told."""
    return location if len(location) <= _SHOWN_MAX else f"{location[: _SHOWN_MAX // 2]}…{location[-_SHOWN_MAX // 2 :]}"


def _path_of(location: str) -> bytes:
    try:
        parts = urlsplit(location)
    except ValueError as error:
        message = f"{_shown(location)!r}: no location: {error}"
        raise LocationRefused(message) from None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        message = f"{_shown(location)}: only file:///… locations are opened"
        raise LocationRefused(message)
    path = unquote_to_bytes(parts.path)
    if b"\x00" in path or b".." in path.split(b"/"):
        message = f"{_shown(location)}: a path with '..' or U+0000"
        raise LocationRefused(message)
    return path


def _open_beneath(root: bytes, relative: bytes, location: str) -> int:
    folder = -1
    try:
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        descriptor = _openat2(folder, relative)
    except OSError as error:
        reason = "it leaves the image root" if error.errno in (errno.EXDEV, errno.ELOOP) else os.strerror(error.errno or 0)
        message = f"{location}: {reason}"
        raise LocationRefused(message) from None
    finally:
        if folder >= 0:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"{location}: no regular file"
        raise LocationRefused(message)
    return descriptor


def _openat2(folder: int, relative: bytes) -> int:
    how = _OpenHow(_FLAGS, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    descriptor = _libc.syscall(_SYS_OPENAT2, folder, relative, ctypes.byref(how), ctypes.sizeof(how))
    if descriptor >= 0:
        return int(descriptor)
    code = ctypes.get_errno()
    if code not in (errno.ENOSYS, errno.EPERM):
        raise OSError(code, os.strerror(code))
    # Without the system call (an old kernel, or a sandbox that refuses it): one component at a time, following no link at all.
    *parents, name = [part for part in relative.split(b"/") if part not in (b"", b".")] or [b""]
    if not name:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    current = os.dup(folder)
    try:
        for part in parents:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = inner
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=current)
    finally:
        os.close(current)
