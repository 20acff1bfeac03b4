"""The kinds of databases that can be loaded: one table, and a file for each that reads it.

Those files are imported where a database is loaded: a check only reads indexes, and begins sooner without them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.checker.adapters.databases.index import IndexWriter
from services.checker.adapters.databases.inputs import Input
from services.checker.adapters.databases.manifest import DatabaseError, Purpose


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator says beside the input: its date, the Release file of a suite."""

    date: str | None = None
    release: Path | None = None


@dataclass(slots=True)
class Built:
    """What making an index gave: the date and version that the input itself states, and what went in."""

    date: str | None = None
    version: str | None = None
    entries: int = 0
    counts: dict[str, int] | None = None
    releases: tuple[str, ...] = ()


Build = Callable[[Input, Path, Options], Built]
"""Makes the index of an input in a new file; raises `DatabaseError`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database: what it is for, how its index is made, and where an operator finds the upstream's file."""

    name: str
    purpose: Purpose
    what: str
    where: str
    build: Build
    suffix: str = "sqlite"
    """Of the index that is made."""
    inputs: tuple[str, ...] = (".json",)
    """How the names of the files end that count in a folder or zip of upstream's."""


def _indexed(given: Input, file: Path, load: Callable[[IndexWriter], Built]) -> Built:
    writer = IndexWriter(file)
    try:
        built = load(writer)
        given.on_progress("sorting", 0, 0)
        writer.finish()
    finally:
        writer.close()
    built.entries, built.releases = writer.counts.pop("entries"), tuple(sorted(writer.releases))
    built.counts = dict(writer.counts)
    return built


def _osv(given: Input, file: Path, _: Options) -> Built:
    from services.checker.adapters.databases import osv  # noqa: PLC0415

    return _indexed(given, file, lambda writer: Built(date=osv.load(given, writer)))


def _known_exploited(given: Input, file: Path, _: Options) -> Built:
    from services.checker.adapters.databases import known_exploited  # noqa: PLC0415

    return _indexed(given, file, lambda writer: Built(date=known_exploited.load(given, writer)))


def _debian_tracker(given: Input, file: Path, _: Options) -> Built:
    from services.checker.adapters.databases import debian_tracker  # noqa: PLC0415

    def load(writer: IndexWriter) -> Built:
        debian_tracker.load(given, writer)
        return Built()

    return _indexed(given, file, load)


def _debian_suite(given: Input, file: Path, options: Options) -> Built:
    from services.checker.adapters.databases import debian_suite  # noqa: PLC0415

    beside = options.release or debian_suite.find_release_file(given.path)
    if beside is None:
        raise DatabaseError(
            "it cannot be told which suite this is, and of when",
            where=str(given.path),
            why="no InRelease or Release file lies beside it",
            advice="fetch the suite's InRelease too, and name it with --release",
        )
    suite = debian_suite.read_release(beside)

    def load(writer: IndexWriter) -> Built:
        debian_suite.load(given, writer, suite)
        return Built(date=suite.date, version=suite.name)

    return _indexed(given, file, load)


def _yara(given: Input, file: Path, _: Options) -> Built:
    from services.checker.adapters.malware_rules import RulesRefused, compile_rules  # noqa: PLC0415

    if not given.is_folder():
        given.refuse("rules are loaded from a folder", "name the folder that holds the *.yar files")
    given.on_progress("compiling", 0, 0)
    try:
        compiled = compile_rules(given.path)
    except RulesRefused as error:
        raise DatabaseError(
            "the rules cannot be used",
            where=str(given.path),
            why=str(error),
            advice="mend or remove what is named, and add them anew",
        ) from error
    (data,) = compiled.parts
    file.write_bytes(data)
    return Built(date=compiled.date, entries=compiled.rules, counts={"files": compiled.files})


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "osv",
            "vulnerabilities",
            "OSV entries of a distribution: a zip, or a folder of *.json",
            "OSV's data dump: all.zip in an ecosystem's folder (Debian, Ubuntu, Alpine, Rocky Linux, Red Hat, SUSE …)",
            _osv,
        ),
        Kind(
            "debian-tracker",
            "vulnerabilities",
            "Debian's security tracker, its JSON file",
            "Debian's security tracker: /tracker/data/json. It states no date: give --date",
            _debian_tracker,
        ),
        Kind(
            "debian-suite",
            "vulnerabilities",
            "a security suite's Sources or Packages file: what is older than a released fix",
            "any mirror: dists/bookworm-security/main/source/Sources.xz, with dists/bookworm-security/InRelease beside it",
            _debian_suite,
        ),
        Kind(
            "known-exploited",
            "vulnerabilities",
            "CISA's catalogue of known exploited vulnerabilities, JSON",
            "CISA's page of the catalogue: known_exploited_vulnerabilities.json",
            _known_exploited,
        ),
        Kind(
            "yara",
            "malware",
            "YARA rules: a folder of *.yar and *.yara, without includes",
            "your own, or a collection of rules, as its folder of sources",
            _yara,
            suffix="rules",
            inputs=(".yar", ".yara"),
        ),
    )
}
