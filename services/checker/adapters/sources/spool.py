"""Room for fetched images: files that nobody else sees, gone with the process that holds them, bounded in size and in all."""

import asyncio
import errno
import os
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.checker.adapters.locations import LocationRefused

_ZEROS: Final = bytes(1 << 20)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(LocationRefused):
    """The image does not fit where images are fetched to."""

    def __init__(self, size_bytes: int) -> None:
        message = f"the checker has no room for the image's {size_bytes} bytes at present"
        super().__init__(message, "ask the operator for more spool")


class TooLarge(LocationRefused):
    """The image has more bytes than are fetched."""


@dataclass(slots=True)
class SpoolFile:
    """A file of `size_bytes` that is being filled. Each byte is written once; what is not written reads as zeros."""

    descriptor: int
    size_bytes: int
    _spool: "Spool"
    _closed: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def write(self, position: int, content: bytes) -> None:
        """Write at `position`; zeros become a hole. Raises `NoRoom`, or `OSError`. Blocks, so it is for a thread."""
        if len(content) <= len(_ZEROS) and content == _ZEROS[: len(content)]:
            return
        view = memoryview(content)
        try:
            # Whoever waits for the thread may be cancelled and close the file: its number may be another file's by then.
            with self._lock:
                while view and not self._closed:
                    written = os.pwrite(self.descriptor, view, position)
                    position, view = position + written, view[written:]
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise NoRoom(self.size_bytes) from None
            raise

    def empty(self) -> None:
        """Forget what was written."""
        os.ftruncate(self.descriptor, 0)
        os.ftruncate(self.descriptor, self.size_bytes)

    def only_readable(self) -> None:
        """Exchange the descriptor for one that cannot write: it is handed to the inspector."""
        reader = os.open(f"/proc/self/fd/{self.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        os.close(self.descriptor)
        self.descriptor = reader

    def close(self) -> None:
        """Close the file, whose content is gone with it; once is enough."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self.descriptor)
        self._spool.give_back(self.size_bytes)


class Spool:
    """A folder in which this process keeps at most `bytes_max` of images, none larger than `image_bytes_max`."""

    def __init__(self, folder: Path, *, image_bytes_max: int, bytes_max: int) -> None:
        self._folder, self.image_bytes_max, self._bytes_max = folder, min(image_bytes_max, bytes_max), bytes_max
        self._used_bytes = 0
        self._given_back = asyncio.Event()

    async def make(self, size_bytes: int) -> SpoolFile:
        """Return a file for an image of `size_bytes`, waiting until others have left room for it.

        Raises `LocationRefused` if there can be none, `NoRoom` if the disk is full, `OSError` if the folder cannot be used.
        """
        if size_bytes > self.image_bytes_max:
            message = f"the image has {size_bytes} bytes, more than the {self.image_bytes_max} that the checker fetches"
            raise TooLarge(message)
        while self._used_bytes + size_bytes > self._bytes_max:
            self._given_back.clear()
            await self._given_back.wait()
        self._used_bytes += size_bytes
        try:
            return SpoolFile(self._open(size_bytes), size_bytes, self)
        except BaseException:
            self.give_back(size_bytes)
            raise

    def give_back(self, size_bytes: int) -> None:
        """Let others have the room."""
        self._used_bytes -= size_bytes
        self._given_back.set()

    def probe(self) -> None:
        """Raise `OSError` if no file can be made here."""
        os.close(self._open(0))

    def _open(self, size_bytes: int) -> int:
        room = os.statvfs(self._folder)
        if size_bytes > room.f_bavail * room.f_frsize:
            raise NoRoom(size_bytes)
        try:
            descriptor = os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT) or not self._folder.is_dir():
                raise
            # A file system without nameless files: the name is gone at once.
            descriptor, name = tempfile.mkstemp(prefix=".image-", dir=self._folder)
            os.unlink(name)  # noqa: PTH108 - mkstemp gives a text
        try:
            os.ftruncate(descriptor, size_bytes)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _NO_ROOM:
                raise NoRoom(size_bytes) from None
            raise
        return descriptor
