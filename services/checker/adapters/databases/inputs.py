"""What a database is made of, as the operator has it: a file, plain or compressed, a zip, a folder. All of it is bounded.

Upstream's files are trusted to be well meant, not to be well: a broken mirror or a hostile one must not fill memory or disk.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, NoReturn, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from services.checker.adapters.databases.manifest import DatabaseError
from shared.reporting.visible import visible

OnProgress = Callable[[str, int, int], None]
"""Told phase, done and total."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class InputLimits:
    """What an input may hold. The largest that are known: a distribution's OSV zip of 50,000 entries, 0.5 GB unpacked."""

    file_bytes: int = 4 << 30
    unpacked_bytes: int = 8 << 30
    ratio: int = 200
    """Unpacked bytes for each of the file."""
    entries: int = 1_000_000
    entry_bytes: int = 16 << 20
    directory_bytes: int = 64 << 20
    """The zip's list of its entries, which is held in memory."""
    dictionary_bytes: int = 128 << 20
    """What xz may hold of what it unpacked before."""


_SLACK_BYTES: Final = 16 << 20
_CHUNK_BYTES: Final = 1 << 20
_DEPTH_MAX: Final = 16
_BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
_BROKEN_ZIP: Final = (*_BROKEN, BadZipFile, RuntimeError, ValueError)
"""`RuntimeError`, with `NotImplementedError`, for what the module cannot unpack, `ValueError` for names and times of no sense."""


@dataclass(slots=True)
class Input:
    """An input at `path`: a file, or a folder of files."""

    path: Path
    on_progress: OnProgress = lambda _phase, _done, _total: None
    limits: InputLimits = field(default_factory=InputLimits)
    suffixes: tuple[str, ...] = (".json",)
    """How the names of the files end that count in a folder or a zip."""
    _digest: str | None = None

    def refuse(self, why: str, advice: str = "fetch the file anew", *, place: str = "") -> NoReturn:
        """Raise `DatabaseError`; `place` is where in the input, in words that a stranger may have chosen."""
        where = f"{self.path}{f': {visible(place)[:200]}' if place else ''}"
        raise DatabaseError("this is no such database", where=where, why=visible(why)[:500], advice=advice)

    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    def digest(self) -> str:
        """Return `sha256:…` of the file, or of a folder's files with their names; worked out once."""
        if self._digest is None:
            self._digest = f"sha256:{self._folder_digest() if self.is_folder() else self._file_digest()}"
        return self._digest

    def _file_digest(self) -> str:
        self._checked(self.path)
        size = self.path.stat().st_size
        return _file_digest(self.path, lambda done: self.on_progress("reading", done, size))

    def _folder_digest(self) -> str:
        whole = hashlib.sha256()
        files = [*self.files()]
        for number, file in enumerate(files):
            self._checked(file)
            name = str(file.relative_to(self.path))
            whole.update(f"{name!r} {_file_digest(file)}\n".encode(errors="surrogateescape"))
            self.on_progress("reading", number, len(files))
        return whole.hexdigest()

    def files(self) -> Iterator[Path]:
        """Yield the file, or every file with one of `suffixes` beneath the folder, in order; links are not followed."""
        if not self.is_folder():
            self._checked(self.path)
            yield self.path
            return
        found = 0
        for at, folders, names in os.walk(self.path, followlinks=False):
            folders.sort()
            if len(Path(at).relative_to(self.path).parts) >= _DEPTH_MAX:
                folders.clear()
            for name in sorted(names):
                file = Path(at) / name
                if name.endswith(self.suffixes) and not file.is_symlink() and file.is_file():
                    found += 1
                    if found > self.limits.entries:
                        self.refuse(f"it holds more than {self.limits.entries} files", "name the folder of one database")
                    yield file
        if not found:
            self.refuse(f"there is no *{self.suffixes[0]} in this folder", "name the folder that holds them, or the zip")

    def documents(self) -> Iterator[tuple[str, bytes]]:
        """Yield each JSON document of a zip or a folder, with its name; the file itself if it is neither."""
        if not self.is_folder() and self._begins(b"PK"):
            yield from self._zipped()
            return
        for number, file in enumerate(self.files()):
            self._checked(file)
            with file.open("rb") as opened:
                content = opened.read(self.limits.entry_bytes + 1)
            name = str(file.relative_to(self.path)) if self.is_folder() else ""
            if len(content) > self.limits.entry_bytes:
                self.refuse(f"it is over {self.limits.entry_bytes} bytes", "name a zip or folder of entries", place=name)
            if number % 100 == 0:
                self.on_progress("indexing", number, 0)
            yield name, content

    @contextmanager
    def stream(self) -> Iterator["Unpacked"]:
        """Open the file for reading from its beginning, unpacked if it is gzip, xz or bzip2."""
        self._checked(self.path)
        with self.path.open("rb") as packed:
            size = os.fstat(packed.fileno()).st_size
            kinds: tuple[tuple[bytes, Callable[[], _Readable]], ...] = (
                (b"\x1f\x8b", lambda: gzip.GzipFile(fileobj=packed, mode="rb")),
                (b"\xfd7zXZ\x00", lambda: io.BufferedReader(_Xz(packed, self.limits.dictionary_bytes))),
                (b"BZh", lambda: bz2.BZ2File(packed, mode="rb")),
            )
            head = packed.read(8)
            packed.seek(0)
            if head.startswith((b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd")):
                self.refuse(
                    "it is packed by lz4 or zstd", "unpack it first; apt's own lists: /usr/lib/apt/apt-helper cat-file FILE"
                )
            inner: _Readable = next((make() for magic, make in kinds if head.startswith(magic)), packed)
            unpacked = Unpacked(inner, self, lambda: self.on_progress("indexing", packed.tell(), size), size)
            try:
                yield unpacked
            except _BROKEN as error:
                self.refuse(f"it is damaged: {error or type(error).__name__}")

    def _begins(self, magic: bytes) -> bool:
        self._checked(self.path)
        with self.path.open("rb") as opened:
            return opened.read(len(magic)) == magic

    def _checked(self, file: Path) -> None:
        try:
            state = file.stat()
        except OSError as error:
            self.refuse(error.strerror or repr(error), "check the path")
        if not stat.S_ISREG(state.st_mode):
            self.refuse("it is no regular file", "name a file, or a folder of *.json")
        if state.st_size > self.limits.file_bytes:
            self.refuse(f"it has {state.st_size} bytes, {self.limits.file_bytes} are the most", "name the file of one database")
        if state.st_size == 0:
            self.refuse("it is empty", place="" if file == self.path else file.name)

    def _zipped(self) -> Iterator[tuple[str, bytes]]:
        """Yield the entries of a zip. Their names are only told: nothing is unpacked to a path."""
        with self.path.open("rb") as packed:
            size = os.fstat(packed.fileno()).st_size
            try:
                archive = ZipFile(_ReadsBounded(packed, self.limits.directory_bytes))
                infos = [info for info in archive.infolist() if info.filename.endswith(self.suffixes)]
            except _BROKEN_ZIP as error:
                self.refuse(f"it is damaged: {error or type(error).__name__}")
            if not infos or len(infos) > self.limits.entries:
                self.refuse(f"it holds {len(infos)} *{self.suffixes[0]} files; 1 to {self.limits.entries} are expected")
            unpacked = 0
            for number, info in enumerate(infos):
                content = self._entry(archive, info)
                unpacked += len(content)
                if unpacked > min(self.limits.unpacked_bytes, size * self.limits.ratio + _SLACK_BYTES):
                    self.refuse(f"it unpacks to more than {unpacked} bytes: no database is packed that well", place=info.filename)
                if number % 100 == 0:
                    self.on_progress("indexing", number, len(infos))
                yield info.filename, content

    def _entry(self, archive: ZipFile, info: ZipInfo) -> bytes:
        if info.flag_bits & 1 or info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            self.refuse("an entry is encrypted, or packed by a method that no such zip uses", place=info.filename)
        try:
            with archive.open(info) as opened:
                content = opened.read(self.limits.entry_bytes + 1)
        except _BROKEN_ZIP as error:
            self.refuse(f"an entry is damaged: {error or type(error).__name__}", place=info.filename)
        if len(content) > self.limits.entry_bytes:
            self.refuse(f"an entry is over {self.limits.entry_bytes} bytes", place=info.filename)
        return content


class Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked; raises `DatabaseError` where they are too many. Knows their digest."""

    def __init__(self, inner: _Readable, given: Input, tell: Callable[[], None], packed_bytes: int) -> None:
        super().__init__()
        self._inner, self._given, self._tell = inner, given, tell
        self._most = min(given.limits.unpacked_bytes, packed_bytes * given.limits.ratio + _SLACK_BYTES)
        self._sha256 = hashlib.sha256()
        self.taken = 0
        self.since_mark = 0
        """Bytes since whoever reads set it to 0."""
        self.since_mark_max = self._most

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - collections.abc.Buffer is Python 3.12's
        """Read some bytes."""
        view = memoryview(buffer).cast("B")
        data = self._inner.read(len(view))
        view[: len(data)] = data
        self._sha256.update(data)
        self.taken += len(data)
        self.since_mark += len(data)
        if self.taken > self._most:
            self._given.refuse(f"it unpacks to more than {self._most} bytes: no database is packed that well")
        if self.since_mark > self.since_mark_max:
            self._given.refuse(f"one of its parts is over {self.since_mark_max} bytes")
        self._tell()
        return len(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was read, in hexadecimal."""
        return self._sha256.hexdigest()


class _Xz(io.RawIOBase):
    """Unpacks xz, of several streams too, with a bound on memory, which `lzma.LZMAFile` has none for."""

    def __init__(self, packed: IO[bytes], dictionary_bytes: int) -> None:
        super().__init__()
        self._packed, self._dictionary_bytes = packed, dictionary_bytes
        self._decompressor = self._new()

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - collections.abc.Buffer is Python 3.12's
        """Read some bytes."""
        view = memoryview(buffer).cast("B")
        while True:
            if self._decompressor.eof:
                rest = (self._decompressor.unused_data or self._packed.read(_CHUNK_BYTES)).lstrip(b"\x00")
                if not rest:
                    return 0
                self._decompressor = self._new()
            else:
                rest = self._packed.read(_CHUNK_BYTES) if self._decompressor.needs_input else b""
                if not rest and self._decompressor.needs_input:
                    message = "it ends too early"
                    raise EOFError(message)
            data = self._decompressor.decompress(rest, len(view))
            if data:
                view[: len(data)] = data
                return len(data)

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=self._dictionary_bytes)


class _ReadsBounded:
    """A file that is not read in one piece beyond a bound: a zip's list of entries is, whatever length it states."""

    def __init__(self, file: IO[bytes], bytes_max: int) -> None:
        self._file, self._bytes_max = file, bytes_max

    def read(self, size: int = -1, /) -> bytes:
        if size > self._bytes_max:
            message = f"its list of entries has {size} bytes"
            raise BadZipFile(message)
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the file's own
        return getattr(self._file, name)


def _file_digest(file: Path, on_progress: Callable[[int], None] = lambda _done: None) -> str:
    sha256, done = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            sha256.update(chunk)
            done += len(chunk)
            on_progress(done)
    return sha256.hexdigest()
