"""The gate: items and a policy in, an outcome out; what is missing or was not judged never passes."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.gate import GatePolicy, GateVerdict, VulnerabilityLimits, weigh
from shared.contracts.report import Item, Level, ScanDatabase, VulnerabilityCounts
from shared.contracts.rules import DECLARED_ITEMS, RULES_VERSION, Family, declared_items, family_of
from shared.policy import shipped_policy

GATE, INSPECT = (shipped_policy(name).region().gate for name in ("gate", "inspect"))
NOW = datetime(2026, 3, 20, tzinfo=UTC)
FRESH = ScanDatabase(name="tracker", version="1", date="2026-03-19", purpose="vulnerabilities")
EVERY = [(version, family) for version, families in DECLARED_ITEMS.items() for family in families]


def items(version: str = "3", family: Family = "linux", **levels: str) -> list[Item]:
    """Every declared item, ok but for `levels`: by short name, a level or `level:code`."""
    made = []
    for name in declared_items(version, family):
        short = name.partition(".")[2]
        level, _, code = levels.get(short, "ok").partition(":")
        made.append(Item(name=name, level=level, code=code or None if level == "ok" else code or f"{short}.Wrong"))  # type: ignore[arg-type]
    return made


def judged(given: list[Item], policy: GatePolicy = GATE, **different: Any) -> GateVerdict:
    return weigh(given, policy, **{"rules_version": "3", "databases": [FRESH], "now": NOW, **different})


@pytest.mark.parametrize(("version", "family"), EVERY)
@pytest.mark.parametrize("policy", [GATE, INSPECT])
def test_a_report_of_any_known_rules_passes_if_everything_is_there_and_fine(
    version: str, family: Family, policy: GatePolicy
) -> None:
    platform = "Windows Server 2022" if family == "windows" else "Debian"
    found = items(version, family)
    assert judged(found, policy, rules_version=version, platform=platform) == GateVerdict("passed")
    for missing in found:
        rest = [one for one in found if one is not missing]
        verdict = judged(rest, policy, rules_version=version, platform=platform)
        assert (verdict.outcome, verdict.reasons) == ("undetermined", (f"{missing.name} was not judged",))


def test_the_active_rules_are_declared() -> None:
    assert declared_items(RULES_VERSION, "linux")
    assert declared_items("999", "linux") == ()


FAMILIES = [
    ("Debian", ["GUESTOS.BCD"], "linux"),
    ("Windows Server 2019", ["GUESTOS.Fstab"], "windows"),
    (None, ["GUESTOS.Platform", "GUESTOS.BCD"], "windows"),
    (None, ["GUESTOS.Platform", "GUESTOS.Virtio", "GUESTOS.CloudAssistant"], "linux"),
    (None, [], "linux"),
]


@pytest.mark.parametrize(("platform", "names", "family"), FAMILIES)
def test_the_family_comes_from_the_platform_else_from_what_was_judged(
    platform: str | None, names: list[str], family: Family
) -> None:
    assert family_of(platform, names) == family


OUTCOMES = [
    ({"Fstab": "failed"}, "blocked", ("GUESTOS.Fstab",)),
    ({"Fstab": "failed", "Secrets": "failed", "Dhcp": "failed"}, "blocked", ("GUESTOS.Fstab", "SECURITY.Secrets")),
    ({"Fstab": "failed", "Platform": "unsupported"}, "blocked", ("GUESTOS.Fstab",)),
    ({"Fstab": "unsupported"}, "undetermined", ("GUESTOS.Fstab",)),
    ({"Dhcp": "warning", "Nvme": "warning", "Selinux": "unsupported", "OSVersion": "unsupported"}, "passed", ()),
    ({"Passwords": "unsupported"}, "passed", ()),
]


@pytest.mark.parametrize(("levels", "outcome", "names"), OUTCOMES)
def test_outcome(levels: dict[str, str], outcome: str, names: tuple[str, ...]) -> None:
    verdict = judged(items(**levels))
    assert (verdict.outcome, verdict.items) == (outcome, names)


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"complete": False, "error": "it crashed"}, "it crashed"),
        ({"complete": False}, "the check did not finish"),
        ({"rules_version": "999"}, "rules version 999 is not known here"),
    ],
)
def test_what_is_not_whole_is_undetermined_and_what_blocks_blocks_first(different: dict[str, Any], reason: str) -> None:
    verdict = judged(items(), **different)
    assert (verdict.outcome, verdict.reasons) == ("undetermined", (reason,))
    assert judged(items(Fstab="failed"), **different).outcome == "blocked"


def test_an_item_judged_twice_settles_nothing() -> None:
    found = items()
    assert judged([*found, found[0]]).outcome == "undetermined"


def test_a_policy_may_block_on_a_warning_and_others_on_failed() -> None:
    policy = GatePolicy({"GUESTOS.Dhcp": frozenset({"warning"})})
    assert judged(items(Dhcp="warning"), policy).items == ("GUESTOS.Dhcp",)
    assert judged(items(Dhcp="failed", Nvme="warning"), policy).outcome == "passed"
    assert judged(items(Nvme="failed"), policy).items == ("GUESTOS.Nvme",)


def test_for_want_of_a_database_the_gate_waits_and_inspect_tells() -> None:
    found = items(Malware="unsupported:Malware.NoDatabase")
    told = (("SECURITY.Malware", "there is no database for it"),)
    verdict = judged(found, GATE)
    assert (verdict.outcome, verdict.items, verdict.unjudged) == ("undetermined", ("SECURITY.Malware",), told)
    assert verdict.reasons == ("SECURITY.Malware could not be judged: there is no database for it",)
    assert judged(found, INSPECT) == GateVerdict("passed", unjudged=told)
    # Not for want of a database: it could not be done.
    assert judged(items(Malware="unsupported:Malware.TooLarge"), INSPECT).outcome == "undetermined"


def with_vulnerabilities(level: Level, **counts: int) -> list[Item]:
    found = VulnerabilityCounts(**counts)
    return [
        one.model_copy(update={"level": level, "vulnerabilities": found}) if one.name == "SECURITY.Vulnerabilities" else one
        for one in items()
    ]


LIMITS = [
    (VulnerabilityLimits(), {"known_exploited": 1, "unfixed_low": 1}, "blocked"),
    (VulnerabilityLimits(known_exploited=False), {"known_exploited": 1, "unfixed_low": 1}, "passed"),
    (VulnerabilityLimits(), {"fixed_high": 1}, "blocked"),
    (VulnerabilityLimits(), {"fixed_critical": 1}, "blocked"),
    (VulnerabilityLimits(), {"fixed_medium": 9, "fixed_unrated": 9, "unfixed_critical": 9}, "passed"),
    (VulnerabilityLimits(severity="critical"), {"fixed_high": 1}, "passed"),
    (VulnerabilityLimits(severity="low"), {"fixed_low": 1}, "blocked"),
    (VulnerabilityLimits(severity="low"), {"fixed_unrated": 1}, "passed"),
    (VulnerabilityLimits(severity=None), {"fixed_critical": 1}, "passed"),
    (VulnerabilityLimits(severity_without_fix="critical"), {"unfixed_critical": 1}, "blocked"),
    (VulnerabilityLimits(severity_without_fix="critical"), {"unfixed_high": 1}, "passed"),
]


@pytest.mark.parametrize("said", ["ok", "warning", "failed"])
@pytest.mark.parametrize(("limits", "counts", "outcome"), LIMITS)
def test_the_policys_limits_decide_whatever_the_item_said(
    said: Level, limits: VulnerabilityLimits, counts: dict[str, int], outcome: str
) -> None:
    policy = GatePolicy(GATE.items, vulnerabilities=limits)
    verdict = judged(with_vulnerabilities(said, **counts), policy)
    assert verdict.outcome == outcome
    level = "failed" if outcome == "blocked" else "warning"
    assert verdict.levels == ({} if said == level else {"SECURITY.Vulnerabilities": level})


@pytest.mark.parametrize(
    ("date", "why"),
    [
        ("2026-03-06", None),
        ("2026-03-05", "the database tracker is 15 days old, 14 are allowed"),
        ("2026-03-05T23:59:59Z", "the database tracker is 15 days old, 14 are allowed"),
        ("2026-03-22", None),
        ("2026-03-23", "the database tracker is dated in the future"),
        ("last week", "the date of the database tracker cannot be told"),
    ],
)
def test_an_old_database_counts_as_missing(date: str, why: str | None) -> None:
    databases = [FRESH.model_copy(update={"date": date}), FRESH.model_copy(update={"date": "2020-01-01", "purpose": "malware"})]
    verdict = judged(items(), databases=databases)
    told = () if why is None else (("SECURITY.Vulnerabilities", why),)
    assert (verdict.outcome, verdict.unjudged) == ("passed" if why is None else "undetermined", told)
    assert judged(items(), INSPECT, databases=databases) == GateVerdict(
        "passed", unjudged=told, levels={"SECURITY.Vulnerabilities": "unsupported"} if told else {}
    )
    # What it knew is known all the same.
    assert (
        judged(with_vulnerabilities("failed", known_exploited=1, fixed_high=1), INSPECT, databases=databases).outcome == "blocked"
    )


def test_without_a_database_there_is_no_judgement_of_vulnerabilities() -> None:
    assert judged(items(), databases=[]).unjudged == (("SECURITY.Vulnerabilities", "no database is named"),)
    anonymous = FRESH.model_copy(update={"purpose": None})
    assert judged(items(), databases=[anonymous]).outcome == "passed"


@settings(deadline=None)
@given(st.data())
def test_it_passes_only_if_all_is_there_and_nothing_blocks(data: st.DataObject) -> None:
    version, family = data.draw(st.sampled_from(EVERY))
    policy = data.draw(st.sampled_from([GATE, INSPECT]))
    given_items = [
        Item(name=name, level=data.draw(st.sampled_from(get_args(Level))), code="X.Y")
        for name in declared_items(version, family)
        if data.draw(st.integers(0, 40))
    ]
    verdict = judged(given_items, policy, rules_version=version, platform="Windows 11" if family == "windows" else "Debian")
    if verdict.outcome == "passed":
        assert {one.name for one in given_items} == set(declared_items(version, family))
        assert not [one.name for one in given_items if one.level in policy.items[one.name]]
    if verdict.outcome == "blocked":
        assert all(one.level == "failed" for one in given_items if one.name in verdict.items)
    assert (verdict.outcome == "undetermined") == bool(verdict.reasons)
