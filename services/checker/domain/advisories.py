"""What a vulnerability database says of a package, and whether it is true of an installed version. Pure.

The form is that of the OSV schema: https://ossf.github.io/osv-schema/, Evaluation.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Final, Literal, Protocol

from services.checker.domain.versions import Scheme, is_version, older
from shared.contracts.gate import SEVERITIES, Severity

Boundary = Literal["introduced", "fixed", "last_affected"]
CVE: Final = re.compile(r"CVE-\d{4}-\d{4,10}")
_WORDS: Final[dict[str, Severity]] = {
    "critical": "critical",
    "high": "high",
    "important": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "minor": "low",
    "negligible": "low",
    "unimportant": "low",
}
_MODULE: Final = re.compile(r"\.module[_+]")
_SIGNED_KERNEL: Final = re.compile(r"linux-signed(?:-(?:amd64|arm64|i386)\Z)?")


@dataclass(frozen=True, slots=True)
class Interval:
    """Versions from `introduced` (None: from the first) to before `fixed`, or to `last_affected`; to this day without both."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


@dataclass(frozen=True, slots=True)
class Advisory:
    """What is known of one source package of one release: the versions within `intervals`, and `versions`, are affected.

    `names` are the vulnerabilities, CVE ids where there are any; `severity` is None where nobody rated it.
    """

    id: str
    release: str
    package: str
    names: tuple[str, ...]
    severity: Severity | None = None
    intervals: tuple[Interval, ...] = ()
    versions: tuple[str, ...] = ()


class KnownVulnerabilities(Protocol):
    """A database that is open for reading."""

    def covers(self, release: str) -> bool:
        """Whether it speaks of the release at all."""

    def advisories(self, release: str, packages: Collection[str]) -> Iterator[Advisory]:
        """Yield what it knows of the source packages of that release."""

    def exploited(self, names: Collection[str]) -> frozenset[str]:
        """Return those of the vulnerabilities that are known to be exploited."""


def source_package(name: str) -> str:
    """Return the source package that databases speak of.

    Debian's and Ubuntu's signed kernels are built from `linux-signed…`, a repackaged `linux…` with the same versions.
    """
    return _SIGNED_KERNEL.sub("linux", name, count=1) if name.startswith("linux-signed") else name


def severity_of_word(word: object) -> Severity | None:
    """Return the severity that a distribution's word stands for: Debian's urgencies, Red Hat's and SUSE's severities."""
    return _WORDS.get(word.rstrip("* ").lower()) if isinstance(word, str) else None


def worst(one: Severity | None, other: Severity | None) -> Severity | None:
    """Return the higher of two ratings."""
    rated = [severity for severity in (one, other) if severity is not None]
    return max(rated, key=SEVERITIES.index, default=None)


def names_of(identifier: str, *others: Iterable[str]) -> tuple[str, ...]:
    """Return the CVE ids of an entry: the one in its own id (`DEBIAN-CVE-…`), else those of the first of `others` with any."""
    for texts in ((identifier,), *others):
        found = dict.fromkeys(match[0] for text in texts if (match := CVE.search(text)) is not None)
        if found:
            return tuple(found)
    return (identifier,)


def intervals_of(scheme: Scheme, events: Sequence[tuple[Boundary, str]]) -> tuple[Interval, ...]:
    """Return the intervals that the events of a range, in any order, make.

    A boundary whose version cannot be compared is taken for none: what might be affected is.
    """
    made: list[Interval] = []
    start: str | None = None
    for boundary, version in sorted(_known(scheme, events), key=cmp_to_key(partial(_order, scheme))):
        if boundary == "introduced":
            start = version if start is None else start
        elif start is not None:
            fixed, last = (version, None) if boundary == "fixed" else (None, version)
            made.append(Interval(start or None, fixed, last))
            start = None
    return tuple(made) if start is None else (*made, Interval(start or None))


def _known(scheme: Scheme, events: Sequence[tuple[Boundary, str]]) -> list[tuple[Boundary, str]]:
    """Return the events whose versions can be compared; the first version of all is written `""`."""
    known: list[tuple[Boundary, str]] = []
    for boundary, version in events:
        if version == "0" and boundary == "introduced":
            known.append((boundary, ""))
        elif is_version(scheme, version):
            known.append((boundary, version))
    return known if any(boundary == "introduced" for boundary, _ in known) else [("introduced", ""), *known]


def _order(scheme: Scheme, one: tuple[Boundary, str], other: tuple[Boundary, str]) -> int:
    if not one[1] or not other[1]:
        return bool(one[1]) - bool(other[1])
    return older(scheme, other[1], one[1]) - older(scheme, one[1], other[1])


def affecting(scheme: Scheme, advisory: Advisory, version: str) -> Interval | None:
    """Return the interval in which the installed `version` lies; None if it is not affected. Raises `NotComparable`."""
    for interval in advisory.intervals:
        if within(scheme, interval, version):
            return interval
    return Interval() if version in advisory.versions else None


def within(scheme: Scheme, interval: Interval, version: str) -> bool:
    """Whether the version lies in the interval; raises `NotComparable` for a version that cannot be compared."""
    if interval.fixed is not None and _of_another_stream(version, interval.fixed):
        return False
    if interval.introduced is not None and older(scheme, version, interval.introduced):
        return False
    if interval.fixed is not None:
        return older(scheme, version, interval.fixed)
    return interval.last_affected is None or not older(scheme, interval.last_affected, version)


def _of_another_stream(version: str, fixed: str) -> bool:
    """Whether a fix is for another stream of a module of RHEL 8 and 9, say Node.js 20 where 18 is installed.

    No database names the stream, and versions of all of them are compared with each other; most are told by the major version.
    """
    if _MODULE.search(fixed) is None:
        return False
    return _MODULE.search(version) is None or _major(version) != _major(fixed)


def _major(version: str) -> str:
    return version.rpartition(":")[2].partition(".")[0]
