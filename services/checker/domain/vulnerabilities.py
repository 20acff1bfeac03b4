"""The item SECURITY.Vulnerabilities: installed packages against databases of known vulnerabilities. Pure.

Packages are matched by *source* package: a kernel's binary packages carry its ABI in their names, and a library's many. The
databases of some rpm distributions name binary packages: there both are looked for.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from services.checker.domain.advisories import Advisory, Interval, KnownVulnerabilities, affecting, source_package, worst
from services.checker.domain.releases import release_of_image
from services.checker.domain.updates import how_to_update
from services.checker.domain.versions import NotComparable, Scheme, older
from shared.contracts.gate import SEVERITIES, VULNERABILITIES, Severity
from shared.contracts.report import Item, Level, Package, PackageList, ReportEvidence, VulnerabilityCounts
from shared.reporting.visible import visible

_EVIDENCE_MAX: Final = 16
_NAMES_SHOWN: Final = 3
_TEXT_MAX: Final = 1000
_EPOCH_DIGITS_MAX: Final = 9
_VERSIONS_MAX: Final = 32
"""Of one package that are installed side by side; a system has a few kernels. Whoever lists more wants this to take long."""
_COMPARED_MAX: Final = 500_000
"""Versions with advisories; 2,000 packages of a Debian are compared with some 20,000."""
_FAILS_FROM: Final = SEVERITIES.index("high")
_HEADERS_ALONE: Final = re.compile(
    r"(?:linux-(?:libc-dev|headers|doc|source|kbuild|compiler)|kernel-(?:headers|doc|devel|abi-stablelists))(?:-|\Z)"
)
"""Packages that are built from a kernel's source and of which nothing runs in a kernel."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability that was found, with the worst that any database says of it."""

    name: str
    severity: Severity | None
    fixed: str | None
    exploited: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What the worst has most of."""
        return self.exploited, self.fixed is not None, -1 if self.severity is None else SEVERITIES.index(self.severity)


@dataclass(slots=True, eq=False)
class Affected:
    """An installed source package in one version, the packages built from it, and what was found in it."""

    scheme: Scheme
    source: str
    version: str
    packages: list[str] = field(default_factory=list)
    found: dict[str, Vulnerability] = field(default_factory=dict)

    def take(self, advisory: Advisory, interval: Interval) -> None:
        """Take in what an advisory says of it."""
        for name in advisory.names:
            known = self.found.get(name)
            if known is None:
                self.found[name] = Vulnerability(name, advisory.severity, interval.fixed)
            else:
                fixed = _first_fix(self.scheme, known.fixed, interval.fixed)
                self.found[name] = replace(known, severity=worst(known.severity, advisory.severity), fixed=fixed)

    @property
    def worst_first(self) -> list[Vulnerability]:
        """What was found, the worst first."""
        return sorted(sorted(self.found.values(), key=lambda one: one.name), key=lambda one: one.rank, reverse=True)


@dataclass(slots=True)
class Matches:
    """What was found, and what kept it from being all there is: `unknown` releases, versions `not_comparable`."""

    affected: list[Affected] = field(default_factory=list)
    packages: int = 0
    unknown: list[str] = field(default_factory=list)
    not_comparable: dict[str, None] = field(default_factory=dict)
    incomplete: bool = False
    compared: int = 0


def judge(lists: Sequence[PackageList], databases: Sequence[KnownVulnerabilities]) -> Item:
    """Judge the packages of an image by the limits that hold where a policy says nothing else.

    Known to be exploited, or high and above with a fix released, is `failed`; any other known one a `warning`.
    """
    lists = [listed for listed in lists if listed.packages]
    if not lists:
        return _unsupported(
            "NoPackages",
            "no list of installed packages was found in the image: what it runs cannot be told; install it by dpkg, rpm or apk",
        )
    matches = match(lists, databases)
    counts = counted(matches.affected)
    level, problem = _level(counts)
    if level != "failed" and matches.unknown:
        return no_database(f"no database of known vulnerabilities covers {', '.join(dict.fromkeys(matches.unknown))[:200]}")
    if level != "failed" and matches.incomplete:
        return _unsupported(
            "Incomplete", "the image lists more packages, or versions of one, than are judged: remove what it does not need"
        )
    if level != "failed" and matches.not_comparable:
        evidence = tuple(ReportEvidence(text=_cut(text)) for text in list(matches.not_comparable)[:_EVIDENCE_MAX])
        advice = "these versions are none that the package manager would take: rebuild the packages with proper ones"
        return _unsupported("NotComparable", advice, evidence)
    if level == "ok":
        return Item(
            name=VULNERABILITIES, level="ok", value=f"{matches.packages} packages, no known vulnerability", vulnerabilities=counts
        )
    # Counts of part of the packages would let a policy with wider limits pass the rest unseen.
    whole = not (matches.unknown or matches.incomplete or matches.not_comparable)
    ordered = sorted(matches.affected, key=lambda one: (one.source, one.version))
    ordered.sort(key=lambda one: (one.worst_first[0].rank, len(one.found)), reverse=True)
    return Item(
        name=VULNERABILITIES,
        level=level,
        code=f"Vulnerabilities.{problem}",
        value=_summary(counts),
        evidence=tuple(ReportEvidence(text=_cut(_told(one))) for one in ordered[:_EVIDENCE_MAX]),
        advice=how_to_update(
            lists,
            [name for one in ordered if any(found.fixed for found in one.found.values()) for name in one.packages],
            unfixed=any(found.fixed is None for one in ordered for found in one.found.values()),
        ),
        vulnerabilities=counts if whole else None,
    )


def match(lists: Iterable[PackageList], databases: Sequence[KnownVulnerabilities]) -> Matches:
    """Return what the databases know of the packages."""
    matches = Matches()
    for listed in lists:
        release = release_of_image(listed)
        covering = [] if release is None else [one for one in databases if one.covers(release)]
        matches.packages += len(listed.packages)
        matches.incomplete |= not listed.complete
        if release is None or not covering:
            matches.unknown.append(visible(release or listed.distro or listed.namespace or listed.type))
            continue
        _match(listed, release, covering, matches)
    names = {name for one in matches.affected for name in one.found}
    exploited = frozenset[str]().union(*(database.exploited(names) for database in databases))
    for one in matches.affected:
        one.found |= {name: replace(one.found[name], exploited=True) for name in exploited & one.found.keys()}
    return matches


def _match(listed: PackageList, release: str, databases: Sequence[KnownVulnerabilities], matches: Matches) -> None:
    installed = _installed(listed)
    for name, several in installed.items():
        matches.incomplete |= len(several) > _VERSIONS_MAX
        installed[name] = several[:_VERSIONS_MAX]
    for advisory in chain.from_iterable(database.advisories(release, installed.keys()) for database in databases):
        for one in installed[advisory.package]:
            matches.compared += 1
            _compare(one, advisory, matches)
        if matches.compared > _COMPARED_MAX:
            matches.incomplete = True
            break
    distinct = {id(one): one for several in installed.values() for one in several if one.found}
    matches.affected += distinct.values()


def _compare(one: Affected, advisory: Advisory, matches: Matches) -> None:
    try:
        interval = affecting(one.scheme, advisory, one.version)
    except NotComparable:
        matches.not_comparable[f"{one.source} {one.version}"] = None
    else:
        if interval is not None:
            one.take(advisory, interval)


def _installed(listed: PackageList) -> dict[str, list[Affected]]:
    """Return what is installed by the names that a database may have for it: of source packages, of rpm's binary ones too."""
    sources = _sources(listed)
    by_key: dict[tuple[str, str], Affected] = {}
    by_name: dict[str, dict[int, Affected]] = {}

    def add(name: str, shown: str, version: str, package: str) -> None:
        one = by_key.get((shown, version))
        if one is None:
            one = by_key[shown, version] = Affected(listed.type, shown, version)
        if package not in one.packages[-1:]:
            one.packages.append(package)
        by_name.setdefault(name, {})[id(one)] = one

    for package, (source, version) in zip(listed.packages, sources, strict=True):
        if _HEADERS_ALONE.match(package.name):
            continue
        add(source, source, version, package.name)
        if listed.type == "rpm":
            # Most binary packages have their source's version, and are one thing with it.
            add(package.name, source if package.version == version else package.name, package.version, package.name)
    return {name: list(several.values()) for name, several in by_name.items()}


def _sources(listed: PackageList) -> list[tuple[str, str]]:
    """Return each package's source package and its version."""
    found = [_source(package) for package in listed.packages]
    if listed.type != "rpm":
        return found
    # A binary rpm knows its source by a file name, which leaves the epoch out; of the packages built from it, some have it.
    epochs: dict[tuple[str, str], int] = {}
    for package, source in zip(listed.packages, found, strict=True):
        epochs[source] = max(epochs.get(source, 0), _epoch(package.version))
    return [
        (source, f"{epochs[source, version]}:{version}" if epochs[source, version] and ":" not in version else version)
        for source, version in found
    ]


def _source(package: Package) -> tuple[str, str]:
    given = package.source or package.name
    source = source_package(given)
    # The repackaging of a signed kernel has a version of its own; the kernel in it has the binary package's.
    return source, package.version if source != given else package.source_version or package.version


def _epoch(version: str) -> int:
    epoch, colon, _ = version.partition(":")
    return int(epoch) if colon and epoch.isdecimal() and len(epoch) <= _EPOCH_DIGITS_MAX else 0


def counted(affected: Iterable[Affected]) -> VulnerabilityCounts:
    """Count vulnerabilities, each once however many packages have it, as the worst that it is in any."""
    by_name: dict[str, Vulnerability] = {}
    for one in affected:
        for name, found in one.found.items():
            known = by_name.get(name)
            by_name[name] = found if known is None else max(known, found, key=lambda each: each.rank)
    counts = Counter(f"{'unfixed' if one.fixed is None else 'fixed'}_{one.severity or 'unrated'}" for one in by_name.values())
    return VulnerabilityCounts(known_exploited=sum(one.exploited for one in by_name.values()), **counts)


def no_database(why: str) -> Item:
    """Return the item of an image that no database could judge."""
    return _unsupported("NoDatabase", f"{why}: load one with image-commons databases add")


def _level(counts: VulnerabilityCounts) -> tuple[Level, str]:
    if counts.known_exploited:
        return "failed", "KnownExploited"
    if any(getattr(counts, f"fixed_{severity}") for severity in SEVERITIES[_FAILS_FROM:]):
        return "failed", "Severe"
    return ("ok", "") if counts == VulnerabilityCounts() else ("warning", "Known")


def _first_fix(scheme: Scheme, one: str | None, other: str | None) -> str | None:
    """Return the later of two fixed versions: with it, every database takes the vulnerability for fixed."""
    if one is None or other is None:
        return one or other
    return other if older(scheme, one, other) else one


def _told(one: Affected) -> str:
    found = one.worst_first
    fixes = {each.fixed for each in found if each.fixed is not None}
    names = ", ".join(each.name for each in found[:_NAMES_SHOWN])
    more = f" and {len(found) - _NAMES_SHOWN} more" if len(found) > _NAMES_SHOWN else ""
    first = found[0]
    facts = [f"{names}{more}", first.severity or "unrated"]
    facts += ["known to be exploited"] if first.exploited else []
    if not fixes:
        return f"{one.source} {one.version} ({', '.join(facts)}, no fix yet)"
    last = next(iter(fixes))
    for fix in fixes:
        last = fix if older(one.scheme, last, fix) else last
    facts += [f"fixed in {first.fixed}"] if first.fixed not in {None, last} else []
    return f"{one.source} {one.version} < {last} ({', '.join(facts)})"


def _summary(counts: VulnerabilityCounts) -> str:
    fixed, unfixed = (
        [(getattr(counts, f"{prefix}_{word}"), word) for word in (*reversed(SEVERITIES), "unrated")]
        for prefix in ("fixed", "unfixed")
    )
    parts = [f"{counts.known_exploited} known to be exploited"] if counts.known_exploited else []
    for numbers, what in ((fixed, "with a fix released"), (unfixed, "without a fix")):
        if any(number for number, _ in numbers):
            parts.append(f"{', '.join(f'{number} {word}' for number, word in numbers if number)} {what}")
    return "; ".join(parts)


def _unsupported(problem: str, advice: str, evidence: tuple[ReportEvidence, ...] = ()) -> Item:
    return Item(
        name=VULNERABILITIES,
        level="unsupported",
        code=f"Vulnerabilities.{problem}",
        advice=visible(advice)[:_TEXT_MAX],
        evidence=evidence,
    )


def _cut(text: str) -> str:
    return visible(text)[:_TEXT_MAX]
