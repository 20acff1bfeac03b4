"""OSV: a zip or a folder of entries, one JSON file each. Source: https://ossf.github.io/osv-schema/."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from services.checker.adapters.databases.index import IndexWriter
from services.checker.adapters.databases.inputs import Input
from services.checker.adapters.databases.manifest import dated
from services.checker.adapters.databases.severity import severity_of_vectors
from services.checker.domain.advisories import (
    Advisory,
    Boundary,
    Interval,
    intervals_of,
    names_of,
    severity_of_word,
    source_package,
    within,
)
from services.checker.domain.releases import release_of_ecosystem
from services.checker.domain.versions import NotComparable, Scheme
from shared.contracts.gate import Severity

EVENTS_MAX: Final = 2000
_VERSIONS_MAX: Final = 50_000
_COMPARED_MAX: Final = 2_000_000
"""Versions times intervals of one package of one entry."""
_BOUNDARIES: Final[tuple[Boundary, ...]] = ("introduced", "fixed", "last_affected")
_TITLE: Final = re.compile(r"(Critical|Important|Moderate|Low): ")
"""How Red Hat, and whoever rebuilds its packages, begins an advisory's title; AlmaLinux says it nowhere else."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_Names = Annotated[tuple[_Text, ...], Field(max_length=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, defer_build=True, extra="ignore", frozen=True)


class _Rating(_Part):
    type: str = ""
    score: str = ""


class _Package(_Part):
    ecosystem: _Text
    name: _Text


class _Range(_Part):
    type: str
    events: Annotated[tuple[dict[str, _Text], ...], Field(max_length=EVENTS_MAX)] = ()


def _a_mapping(given: object) -> object:
    # Whatever a database likes to put there; only the words that are known are looked for.
    return given if isinstance(given, dict) else {}


_Specific = Annotated[dict[str, Any], BeforeValidator(_a_mapping)]


class _Affected(_Part):
    package: _Package | None = None
    ranges: Annotated[tuple[_Range, ...], Field(max_length=EVENTS_MAX)] = ()
    versions: Annotated[tuple[_Text, ...], Field(max_length=_VERSIONS_MAX)] = ()
    severity: tuple[_Rating, ...] | None = None
    ecosystem_specific: _Specific = {}
    database_specific: _Specific = {}


class _Entry(_Part):
    id: _Text
    modified: Annotated[str, StringConstraints(max_length=64)]
    summary: str = ""
    withdrawn: str | None = None
    aliases: _Names | None = None
    upstream: _Names | None = None
    related: _Names | None = None
    severity: tuple[_Rating, ...] | None = None
    affected: Annotated[tuple[_Affected, ...], Field(max_length=100_000)] | None = None
    database_specific: _Specific = {}


def load(given: Input, writer: IndexWriter) -> str:
    """Index the entries; returns the newest date at which one was modified. Raises `DatabaseError`."""
    newest = ""
    for name, content in given.documents():
        try:
            entry = _Entry.model_validate_json(content)
            modified = dated(entry.modified)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            given.refuse(f"{place}: {first['msg']}", "name a zip or folder of OSV entries", place=name)
        except ValueError as error:
            given.refuse(f"modified: {error}", "name a zip or folder of OSV entries", place=name)
        newest = max(newest, modified)
        if entry.withdrawn:
            writer.skip("withdrawn")
            continue
        try:
            found = list(_advisories(entry))
        except _TooMany as error:
            given.refuse(str(error), "leave the entry out", place=f"{name} {entry.id}")
        writer.add(found)
        if not found:
            writer.skip("for no distribution that is known here")
    if not writer.counts["entries"]:
        given.refuse("none of its entries is for a distribution that is known here", "load the ecosystem of a distribution")
    return newest


class _TooMany(Exception):
    """An entry would take too long."""


def _advisories(entry: _Entry) -> Iterator[Advisory]:
    names = names_of(entry.id, (*(entry.aliases or ()), *(entry.upstream or ())), entry.related or ())
    titled = _TITLE.match(entry.summary)
    rated = _severity(entry.severity or (), entry.database_specific) or (None if titled is None else severity_of_word(titled[1]))
    for affected in entry.affected or ():
        found = None if affected.package is None else release_of_ecosystem(affected.package.ecosystem)
        if found is None or affected.package is None:
            continue
        scheme, release = found
        intervals = tuple(
            interval
            for one in affected.ranges
            if one.type == "ECOSYSTEM"
            for interval in intervals_of(scheme, list(_events(one.events)))
        )
        versions = tuple(_outside(scheme, affected.versions, intervals))
        if not intervals and not versions:
            continue
        own = _severity(affected.severity or (), affected.ecosystem_specific, affected.database_specific)
        yield Advisory(entry.id, release, source_package(affected.package.name), names, own or rated, intervals, versions)


def _events(events: Iterable[dict[str, str]]) -> Iterator[tuple[Boundary, str]]:
    for event in events:
        for boundary in _BOUNDARIES:
            if boundary in event:
                yield boundary, event[boundary]


def _outside(scheme: Scheme, versions: tuple[str, ...], intervals: tuple[Interval, ...]) -> Iterator[str]:
    """Yield the versions that no interval holds: most databases list those that an interval does anyway, thousands of them."""
    if Interval() in intervals:
        return
    if len(versions) * len(intervals) > _COMPARED_MAX:
        message = f"{len(versions)} versions and {len(intervals)} intervals are more than can be compared"
        raise _TooMany(message)
    for version in versions:
        try:
            if any(within(scheme, interval, version) for interval in intervals):
                continue
        except NotComparable:
            pass
        yield version


def _severity(ratings: Iterable[_Rating], *specific: dict[str, Any]) -> Severity | None:
    """Return the distribution's own word if it gives one, since it knows what it built; else that of CVSS."""
    words: list[object] = [one.score for one in ratings if not one.type.startswith("CVSS")]
    words += [part.get(key) for part in specific for key in ("urgency", "severity", "ubuntu_priority")]
    said = next((severity for word in words if (severity := severity_of_word(word)) is not None), None)
    return said or severity_of_vectors(one.score for one in ratings if one.type.startswith("CVSS"))
