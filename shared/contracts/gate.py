"""The gate: which items, at which level, keep an image from being published (domain, The image check).

Pure: items and a policy in, a verdict out. Used by publisher, whose word counts, and by the command line. Fail closed: what is
missing, or could not be judged where the policy asks for a judgement, never passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal, Protocol

from shared.contracts.report import CheckOutcome, Level, ScanDatabase, VulnerabilityCounts
from shared.contracts.rules import DECLARED_ITEMS, RULES_VERSION, declared_items, family_of

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("low", "medium", "high", "critical")
"""From the least; what nobody rated reaches no threshold."""
VULNERABILITIES: Final = "SECURITY.Vulnerabilities"
NO_DATABASE: Final = ".NoDatabase"
"""The end of the code of an item that is `unsupported` for want of a database alone."""
_OLD_DATABASE: Final = "Vulnerabilities" + NO_DATABASE
_CLOCKS_APART_DAYS: Final = 2
_BLOCKS_FAILED: Final[frozenset[Level]] = frozenset({"failed"})


class JudgedItem(Protocol):
    """The part of an item that the gate looks at."""

    @property
    def name(self) -> str:
        """Its name, `GUESTOS.<Name>` or `SECURITY.<Name>`."""

    @property
    def level(self) -> Level:
        """Its level."""

    @property
    def code(self) -> str | None:
        """Its code, `<Item>.<Problem>`."""

    @property
    def vulnerabilities(self) -> VulnerabilityCounts | None:
        """How many known vulnerabilities there are, where they were counted."""


@dataclass(frozen=True, slots=True)
class VulnerabilityLimits:
    """What makes the item Vulnerabilities `failed`; any other known vulnerability makes it a warning.

    `severity` is the least that fails where a fixed version is released, `severity_without_fix` where none is; None: none fails.
    A database older than `database_age_days_max` counts as missing; None: any age will do.
    """

    known_exploited: bool = True
    severity: Severity | None = "high"
    severity_without_fix: Severity | None = None
    database_age_days_max: int | None = None


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Which levels of which items block: `items` by name, `others` for those that are not among them.

    `missing_database_blocks`: whether an item that blocks for being unsupported does so for want of a database too.
    """

    items: Mapping[str, frozenset[Level]]
    others: frozenset[Level] = _BLOCKS_FAILED
    missing_database_blocks: bool = True
    vulnerabilities: VulnerabilityLimits = field(default_factory=VulnerabilityLimits)

    def blocks(self, item: JudgedItem) -> bool:
        """Whether `item` at its level keeps the image from being published."""
        if item.level not in self.items.get(item.name, self.others):
            return False
        return item.level != "unsupported" or self.missing_database_blocks or not _lacks_database(item)


@dataclass(frozen=True, slots=True)
class Weighed:
    """An item at the level that the policy's limits give it."""

    name: str
    level: Level
    code: str | None
    vulnerabilities: VulnerabilityCounts | None = None


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What the gate says.

    `outcome`; the names of the items that decided it; for `undetermined` why, in words; `unjudged`: the items that could not be
    judged for want of a database, and why, whether that decided anything or not; `levels`: where the policy's limits gave an item
    another level than its own.
    """

    outcome: CheckOutcome
    items: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    unjudged: tuple[tuple[str, str], ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)


def missing_items(rules_version: str, items: Sequence[JudgedItem], platform: str | None = None) -> tuple[str, ...]:
    """Return the items that `rules_version` declares for the platform and `items` lack."""
    present = {item.name for item in items}
    family = family_of(platform, present)
    return tuple(name for name in declared_items(rules_version, family) if name not in present)


def weigh(
    items: Sequence[JudgedItem],
    policy: GatePolicy,
    *,
    rules_version: str = RULES_VERSION,
    platform: str | None = None,
    databases: Sequence[ScanDatabase] = (),
    now: datetime | None = None,
    complete: bool = True,
    error: str | None = None,
) -> GateVerdict:
    """Weigh `items` by `policy`; `now` is what the age of `databases` is counted to.

    `blocked` if an item blocks; else `undetermined` if the check was not complete, an item is missing or named twice, the rules
    are unknown, or an item blocks for being unsupported; else `passed`.
    """
    stale = _stale(databases, policy.vulnerabilities.database_age_days_max, now)
    weighed = [_under_limits(item, policy.vulnerabilities, stale) for item in items]
    levels = {after.name: after.level for before, after in zip(items, weighed, strict=True) if before.level != after.level}
    unjudged = tuple((item.name, _why(item, stale)) for item in weighed if item.level == "unsupported" and _lacks_database(item))
    blocking = tuple(item.name for item in weighed if item.level != "unsupported" and policy.blocks(item))
    if blocking:
        return GateVerdict("blocked", blocking, unjudged=unjudged, levels=levels)
    reasons = [] if complete else [error or "the check did not finish"]
    if rules_version in DECLARED_ITEMS:
        reasons += [f"{name} was not judged" for name in missing_items(rules_version, items, platform)]
    else:
        reasons.append(f"rules version {rules_version} is not known here")
    if len({item.name for item in items}) != len(items):
        reasons.append("an item was judged twice")
    unsupported = tuple(item.name for item in weighed if item.level == "unsupported" and policy.blocks(item))
    told = dict(unjudged)
    reasons += [f"{name} could not be judged{f': {told[name]}' if name in told else ''}" for name in unsupported]
    if reasons:
        return GateVerdict("undetermined", unsupported, tuple(reasons), unjudged, levels)
    return GateVerdict("passed", unjudged=unjudged, levels=levels)


def _lacks_database(item: JudgedItem) -> bool:
    return item.code is not None and item.code.endswith(NO_DATABASE)


def _why(item: JudgedItem, stale: str | None) -> str:
    return stale if stale is not None and item.name == VULNERABILITIES else "there is no database for it"


def _under_limits(item: JudgedItem, limits: VulnerabilityLimits, stale: str | None) -> Weighed:
    """Return the item as the policy's limits see it; one without counts is what it says it is."""
    given = Weighed(item.name, item.level, item.code, item.vulnerabilities)
    if item.name != VULNERABILITIES or item.level == "unsupported":
        return given
    level = item.level if item.vulnerabilities is None else _level_of(item.vulnerabilities, limits)
    # What an old database knows is known all the same; what it does not know says nothing.
    if stale is not None and level != "failed":
        return Weighed(item.name, "unsupported", _OLD_DATABASE, item.vulnerabilities)
    return Weighed(item.name, level, item.code, item.vulnerabilities)


def _level_of(found: VulnerabilityCounts, limits: VulnerabilityLimits) -> Level:
    over = found.known_exploited if limits.known_exploited else 0
    for prefix, least in (("fixed_", limits.severity), ("unfixed_", limits.severity_without_fix)):
        if least is not None:
            over += sum(getattr(found, prefix + severity) for severity in SEVERITIES[SEVERITIES.index(least) :])
    if over:
        return "failed"
    return "ok" if found == VulnerabilityCounts() else "warning"


def _stale(databases: Sequence[ScanDatabase], days_max: int | None, now: datetime | None) -> str | None:
    """Return why the vulnerability databases count as missing, if they do: one that is too old, or whose age nobody can tell."""
    if days_max is None or now is None:
        return None
    used = [database for database in databases if database.purpose in {None, "vulnerabilities"}]
    if not used:
        return "no database is named"
    for database in used:
        try:
            age_days = (now.date() - date.fromisoformat(database.date[:10])).days
        except ValueError:
            return f"the date of the database {database.name} cannot be told"
        if age_days > days_max:
            return f"the database {database.name} is {age_days} days old, {days_max} are allowed"
        if age_days < -_CLOCKS_APART_DAYS:
            return f"the database {database.name} is dated in the future"
    return None
