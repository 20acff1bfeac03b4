"""The folder of databases: what is in it, and adding, verifying, removing one.

Each database is a folder of its name. What an addition writes is complete before its manifest takes the old one's place, in one
rename: whoever reads at that time has the old database or the new one, and nobody half of each.
"""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from services.checker.adapters.databases.index import Index
from services.checker.adapters.databases.inputs import Input, OnProgress
from services.checker.adapters.databases.kinds import Kind, Options
from services.checker.adapters.databases.manifest import (
    FILE,
    NAME_PATTERN,
    DatabaseError,
    Manifest,
    Purpose,
    dated,
    read_manifest,
)

_LOCK: Final = ".lock"
_TEMPORARY: Final = ".new"
_DATABASES_MAX: Final = 64
_AHEAD: Final = timedelta(days=2)
_CHUNK_BYTES: Final = 1 << 20
_NAME: Final = re.compile(NAME_PATTERN.rstrip("$") + r"\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A database in the folder: its manifest, or why it cannot be used."""

    name: str
    manifest: Manifest | None
    error: DatabaseError | None = None


class DatabaseStore:
    """The databases beneath `folder`, read anew whenever somebody asks: an operator adds some while services run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def found(self) -> list[Found]:
        """Return what is there, by name; nothing where the folder does not exist. Raises `OSError` if it cannot be read."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir() and _NAME.match(entry.name))
        except FileNotFoundError:
            return []
        return [one for name in names[:_DATABASES_MAX] if (one := self._found(name)) is not None]

    def manifests(self, purpose: Purpose) -> list[Manifest]:
        """Return the databases for `purpose`; raises `DatabaseError` if any cannot be used: it might be for this."""
        manifests = []
        for one in self.found():
            if one.error is not None:
                raise one.error
            if one.manifest is not None and one.manifest.purpose == purpose:
                manifests.append(one.manifest)
        return manifests

    @contextmanager
    def opened(self) -> Iterator[list[tuple[Manifest, Index]]]:
        """Open every vulnerability database for reading in this thread; raises `DatabaseError`."""
        opened: list[tuple[Manifest, Index]] = []
        try:
            opened.extend(map(self._open, self.manifests("vulnerabilities")))
            yield opened
        finally:
            for _, index in opened:
                index.close()

    def index_file(self, manifest: Manifest) -> Path:
        """Return the file that was made of a database."""
        return self.folder / manifest.name / manifest.index

    def add(
        self,
        kind: Kind,
        source: Path,
        *,
        name: str | None = None,
        options: Options | None = None,
        version: str | None = None,
        on_progress: OnProgress = lambda _phase, _done, _total: None,
    ) -> Manifest:
        """Make a database of `source`, in the place of an earlier one of its name; raises `DatabaseError` and `OSError`."""
        name, options = name or kind.name, options or Options()
        _check_name(name)
        stated = _stated_date(options.date)
        folder = self.folder / name
        with self._locked(folder):
            folder.mkdir(exist_ok=True)
            try:
                return self._add(kind, Input(source, on_progress, suffixes=kind.inputs), folder, options, stated, version)
            finally:
                if not (folder / FILE).exists():
                    shutil.rmtree(folder, ignore_errors=True)

    def verify(self, manifest: Manifest) -> list[str]:
        """Return what is amiss with a database; nothing if its index is the one that was made, and can be read."""
        file, amiss = self.index_file(manifest), []
        try:
            if (size := file.stat().st_size) != manifest.index_size_bytes:
                return [f"{file.name} has {size} bytes, {manifest.index_size_bytes} were written"]
            if (digest := _digest(file)) != manifest.index_digest:
                return [f"{file.name} was changed: its digest is {digest}, {manifest.index_digest} was written"]
            if manifest.purpose == "vulnerabilities":
                with Index(file):
                    pass
        except OSError as error:
            amiss.append(f"{file.name}: {error.strerror or error!r}")
        except DatabaseError as error:
            amiss.append(f"{file.name}: {error.why}")
        return amiss

    def remove(self, name: str) -> None:
        """Remove a database, usable or not; raises `DatabaseError` if there is none."""
        _check_name(name)
        folder = self.folder / name
        if not (folder / FILE).exists():
            raise DatabaseError(
                "there is no such database", where=str(folder), why="nothing is there", advice="image-commons databases list"
            )
        with self._locked(folder):
            # Without its manifest it is none: nobody opens it any more.
            (folder / FILE).unlink()
            shutil.rmtree(folder)

    def _found(self, name: str) -> Found | None:
        try:
            return Found(name, read_manifest(self.folder / name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except DatabaseError as error:
            return Found(name, None, error)

    def _open(self, manifest: Manifest) -> tuple[Manifest, Index]:
        try:
            return manifest, Index(self.index_file(manifest))
        except DatabaseError:
            # Replaced since its manifest was read, perhaps: then the new one is there.
            with suppress(FileNotFoundError):
                newer = read_manifest(self.folder / manifest.name)
                if newer.index != manifest.index:
                    return newer, Index(self.index_file(newer))
            raise

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        """Hold the lock of additions; raises `DatabaseError` while another one runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise DatabaseError(
                "the databases are being changed", where=str(folder), why="by another process", advice="try again when it is done"
            ) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def _add(self, kind: Kind, given: Input, folder: Path, options: Options, stated: str | None, version: str | None) -> Manifest:
        for rest in folder.glob(f"*{_TEMPORARY}*"):
            rest.unlink()
        digest = given.digest()
        state = _state(given.path)
        temporary = folder / f"index{_TEMPORARY}"
        try:
            built = kind.build(given, temporary, options)
            if _state(given.path) != state:
                given.refuse("it changed while it was read", "load it when it is whole")
            when = stated or built.date
            if when is None:
                given.refuse("it does not state of when it is", "say so with --date, as 2026-11-24: the day it was fetched")
            _check_not_ahead(given, when)
            index_digest = _digest(temporary)
            file = folder / f"index-{index_digest.removeprefix('sha256:')[:16]}.{kind.suffix}"
            manifest = Manifest(
                name=folder.name,
                purpose=kind.purpose,
                kind=kind.name,
                version=(version or built.version or when)[:64],
                date=when,
                digest=digest,
                source=given.path.name.encode(errors="replace").decode()[:256],
                index=file.name,
                index_digest=index_digest,
                index_size_bytes=temporary.stat().st_size,
                entries=built.entries,
                counts=built.counts or {},
                releases=built.releases[:1000],
            )
            temporary.replace(file)
            _write_whole(folder / FILE, manifest.model_dump_json(indent=2))
        finally:
            temporary.unlink(missing_ok=True)
        for old in folder.glob("index-*"):
            if old != file:
                old.unlink(missing_ok=True)
        return manifest


def age_days(manifest: Manifest, today: date | None = None) -> int:
    """Return how many days old a database is."""
    return ((today or datetime.now(UTC).date()) - date.fromisoformat(manifest.date[:10])).days


def _check_name(name: str) -> None:
    if _NAME.match(name) is None:
        raise DatabaseError(
            "that is no name for a database",
            where=name[:60],
            why="a name is 1 to 40 small letters, digits, '.', '_' or '-', beginning with a letter or digit",
            advice="choose another one with --name",
        )


def _stated_date(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return dated(text)
    except ValueError as error:
        raise DatabaseError("that is no date", where=text[:60], why=str(error), advice="say --date 2026-11-24") from error


def _check_not_ahead(given: Input, when: str) -> None:
    if date.fromisoformat(when[:10]) > datetime.now(UTC).date() + _AHEAD:
        given.refuse(f"it is of {when}, which is yet to come", "check this machine's clock; or say the right day with --date")


def _state(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _digest(file: Path) -> str:
    sha256 = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            sha256.update(chunk)
    return f"sha256:{sha256.hexdigest()}"


def _write_whole(file: Path, text: str) -> None:
    """Write a file that is either the old one or the new one, whatever happens meanwhile."""
    temporary = file.with_name(f"{file.name}{_TEMPORARY}")
    with temporary.open("w", encoding="utf-8") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
