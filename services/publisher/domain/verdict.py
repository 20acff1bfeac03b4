"""What a completed check means for the publication that waits for it. Only what passed publishes: fail closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.publisher.domain.model import Publication
from services.publisher.domain.problems import PROBLEMS_MAX, problem
from shared.contracts.answers import Problem, evidence_within
from shared.contracts.checks import CheckCompleted, ResultItem
from shared.contracts.codes import CODES, Code
from shared.contracts.gate import GatePolicy, weigh
from shared.contracts.image_events import CheckView
from shared.contracts.report import Attributes, CheckOutcome, Level

TAG_PREFIX: Final = "acs:ecs:image:"
_EVIDENCE_BYTES_MAX: Final = 8 * 1024
_TAG_CHARACTERS_MAX: Final = 128
_ENCRYPTION: Final = "SECURITY.Encryption"
_NOT_OPENED: Final = (
    "there is no report, because the image was not read to its end: if the reason names the location, state the image's fact "
    "anew with one that the operator's roots or stores hold; else publish again, and ask the operator if that gives the same"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`problems` say why the image does not pass; without any it does, `check` is there, and `tags` show what was detected.

    `check` is there for what was refused too, if the check made a report: it leads the vendor to the evidence.
    """

    problems: tuple[Problem, ...] = ()
    check: CheckView | None = None
    tags: tuple[tuple[str, str], ...] = ()


def verdict_of(
    result: CheckCompleted, publication: Publication, *, now: datetime, policy: GatePolicy, policy_version: str
) -> Verdict:
    """Weigh what the check of `publication` found by `policy`, the one of the publication's region."""
    if result.content_version is None and result.error is not None:
        return Verdict((undetermined(result.error, advice=_NOT_OPENED),))
    if result.content_version != publication.content_version:
        return Verdict((undetermined("what was checked is not the content that was to be published"),))
    weighed = weigh(
        result.items,
        policy,
        rules_version=result.rules_version,
        platform=result.attributes.platform,
        databases=result.databases,
        now=now,
        complete=result.complete,
        error=result.error,
    )
    check = _check_of(result, weighed.outcome, policy_version, now)
    if weighed.outcome == "blocked":
        blocking = [item for item in result.items if item.name in weighed.items and item.level != "ok"]
        return Verdict(_blocked(blocking[:PROBLEMS_MAX], weighed.levels), check)
    if weighed.outcome == "undetermined":
        return Verdict((undetermined("; ".join(weighed.reasons)),), check)
    if result.error is not None or check is None:
        return Verdict((undetermined(result.error or "the check named no report or no digest"),))
    return Verdict(check=check, tags=tuple(tags_of(result.attributes).items()))


def _check_of(result: CheckCompleted, outcome: CheckOutcome, policy_version: str, now: datetime) -> CheckView | None:
    if result.report_id is None or result.report_sha256 is None or result.image_digest is None:
        return None
    return CheckView(
        report_id=result.report_id,
        report_sha256=result.report_sha256,
        image_digest=result.image_digest,
        rules_version=result.rules_version,
        checked_at=now,
        outcome=outcome,
        policy_version=policy_version,
    )


def undetermined(reason: str, *, advice: str | None = None) -> Problem:
    """Return the problem of a check that told nothing, for `reason`; `advice` where the usual one does not help."""
    return problem(Code.CHECK_UNDETERMINED, field="check", value=reason, advice=advice)


def unclear(topic: str) -> Problem:
    """Return the problem of an image or account whose newest fact, on `topic`, could not be read."""
    advice = (
        "state the fact anew, in the form of the contracts; the operator finds the record that could not be read as a dead letter"
    )
    return undetermined(f"the newest record of {topic} could not be read", advice=advice)


def tags_of(attributes: Attributes) -> dict[str, str]:
    """Return the system tags that show what was detected (domain, While an image is a community image)."""
    found = {
        "osVersion": attributes.os_version,
        "kernelVersion": attributes.kernel_version,
        "architecture": attributes.architecture,
    }
    return {TAG_PREFIX + name: value[:_TAG_CHARACTERS_MAX] for name, value in found.items() if value}


def _blocked(items: Sequence[ResultItem], levels: Mapping[str, Level]) -> tuple[Problem, ...]:
    problems = []
    for item, evidence in zip(items, evidence_within(_EVIDENCE_BYTES_MAX, [item.evidence for item in items]), strict=True):
        code = Code.ENCRYPTED if item.name == _ENCRYPTION else Code.CHECK_FAILED
        # The item's own code says which of its troubles was met.
        advice = CODES[code].advice
        level = levels.get(item.name, item.level)
        problems.append(
            problem(code, field="image", value=item.code, item=item.name, level=level, evidence=evidence, advice=advice)
        )
    return tuple(problems)
