"""The package index of a security suite, `Sources` or `Packages`: a released version is a fix for whatever is older.

No index says which vulnerabilities a version fixes, nor how severe they are, so each source package's newest version makes one
entry, `<suite>/<source>/<version>`, that nobody rated. Sources: deb822(5), Debian's repository format.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Final

from services.checker.adapters.databases.index import IndexWriter
from services.checker.adapters.databases.inputs import Input
from services.checker.domain.advisories import Advisory, Interval, source_package
from services.checker.domain.releases import release_of_suite
from services.checker.domain.versions import NotComparable, check, older

RELEASE_FILES: Final = ("InRelease", "Release")
_LINE_MAX: Final = 1 << 20
_PARAGRAPH_LINES_MAX: Final = 50_000
_BLANK_LINES_MAX: Final = 1000
"""One after the other."""
_PACKAGES_MAX: Final = 500_000
_RELEASE_BYTES_MAX: Final = 8 << 20
_ADVICE: Final = "name a Sources or Packages file"
_WANTED: Final = frozenset({"Package", "Source", "Version", "Directory"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}\Z")
_SOURCE: Final = re.compile(r"(\S+)(?:\s+\(([^()\s]+)\))?\Z")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Suite:
    """What a Release file says: whose suite it is, its name and date, and the digests of its files."""

    release: str
    name: str
    date: str
    digests: frozenset[str]


def find_release_file(index: Path) -> Path | None:
    """Return the Release file that lies beside an index, by its own name, or by the name that apt keeps it under."""
    for name in RELEASE_FILES:
        if (index.parent / name).is_file():
            return index.parent / name
    prefix, found, _ = index.name.partition("_dists_")
    if found:
        suite = index.name[len(prefix) + len(found) :].partition("_")[0]
        for name in RELEASE_FILES:
            beside = index.parent / f"{prefix}{found}{suite}_{name}"
            if beside.is_file():
                return beside
    return None


def read_release(file: Path) -> Suite:
    """Read a `Release` or `InRelease` file. Its signature is not looked at: apt did, or whoever fetched it."""
    given = Input(file)
    with given.stream() as unpacked:
        lines = io.BufferedReader(unpacked).read(_RELEASE_BYTES_MAX).decode(errors="replace").splitlines()
    fields: dict[str, str] = {}
    digests: set[str] = set()
    inside = ""
    for line in lines:
        if line.startswith(" "):
            if inside == "SHA256" and _DIGEST.match(digest := line.split()[0] if line.split() else ""):
                digests.add(digest)
            continue
        inside, colon, value = line.partition(":")
        if colon:
            fields.setdefault(inside, value.strip())
    name = fields.get("Codename") or fields.get("Suite") or ""
    release = release_of_suite(fields.get("Origin", ""), fields.get("Version"), name)
    if release is None or not name or len(name) > 64:  # noqa: PLR2004 - a field of the report
        given.refuse("it names no release of Debian or Ubuntu (Origin, Version, Codename)", "name the suite's Release file")
    try:
        date = parsedate_to_datetime(fields["Date"]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (KeyError, ValueError, OverflowError):
        given.refuse("it has no date", "name the suite's Release file")
    return Suite(release, name, date, frozenset(digests))


def load(given: Input, writer: IndexWriter, suite: Suite) -> None:
    """Index the newest version of each source package. Raises `DatabaseError`."""
    newest: dict[str, str] = {}
    with given.stream() as unpacked:
        text = io.BufferedReader(unpacked)
        for fields in _paragraphs(given, text):
            source, version = _source(given, fields)
            if source_package(source) != source:
                continue
            known = newest.get(source)
            try:
                check("deb", version)
                if known is None or older("deb", known, version):
                    newest[source] = version
            except NotComparable:
                given.refuse(f"{source} has a version that cannot be compared: {version}")
            if len(newest) > _PACKAGES_MAX:
                given.refuse(f"it lists more than {_PACKAGES_MAX} source packages")
        found = {unpacked.sha256, given.digest().removeprefix("sha256:")}
    if not newest:
        given.refuse("it lists no package", _ADVICE)
    if suite.digests and not suite.digests & found:
        given.refuse(
            "its Release file does not list it: the two are of different times, or of different suites",
            "fetch both anew, or name the right one with --release",
        )
    for source, version in sorted(newest.items()):
        name = f"{suite.name}/{source}/{version}"
        writer.add([Advisory(name, suite.release, source, (name,), None, (Interval(fixed=version),))])


def _paragraphs(given: Input, text: IO[bytes]) -> Iterator[dict[str, str]]:
    """Yield the wanted fields of each paragraph; each is a line of its own, so nothing else of deb822 is needed."""
    fields: dict[str, str] = {}
    seen = 0
    for line in _lines(given, text):
        if not line.strip():
            if fields:
                yield fields
            fields, seen = {}, 0
            continue
        seen += 1
        if seen > _PARAGRAPH_LINES_MAX:
            given.refuse(f"a paragraph has more than {_PARAGRAPH_LINES_MAX} lines", _ADVICE)
        if line[:1] in b" \t":
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            given.refuse(f"this is no field: {line[:60].decode(errors='replace').strip()}", _ADVICE)
        if (key := name.decode("ascii", errors="replace")) in _WANTED:
            fields[key] = value.decode(errors="replace").strip()
    if fields:
        yield fields


def _lines(given: Input, text: IO[bytes]) -> Iterator[bytes]:
    blank = 0
    while line := text.readline(_LINE_MAX):
        if len(line) == _LINE_MAX and not line.endswith(b"\n"):
            given.refuse(f"a line is over {_LINE_MAX} bytes", _ADVICE)
        blank = 0 if line.strip() else blank + 1
        if blank > _BLANK_LINES_MAX:
            given.refuse(f"more than {_BLANK_LINES_MAX} lines are empty", _ADVICE)
        yield line


def _source(given: Input, fields: dict[str, str]) -> tuple[str, str]:
    """Return source package and version: of a binary package the ones in its field Source, where they differ from its own."""
    package, version = fields.get("Package", ""), fields.get("Version", "")
    built = _SOURCE.match(fields.get("Source", package))
    source = built[1] if built else ""
    if not _NAME.match(source) or not version:
        given.refuse(f"a package without name or version: {package}", _ADVICE)
    if "Source" in fields and source_package(source) != source:
        # The repackaging of a signed kernel has a version of its own; the kernel in it has the binary package's.
        return source_package(source), version
    return source, version if built is None or built[2] is None else built[2]
