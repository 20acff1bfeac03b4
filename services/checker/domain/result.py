"""From a report to the event that tells of it. Pure."""

from collections.abc import Sequence
from typing import Final

from shared.contracts.answers import Evidence, evidence_within
from shared.contracts.checks import CheckCompleted, CheckRequested, ResultItem
from shared.contracts.report import Item, Report, ReportEvidence
from shared.contracts.rules import RULES_VERSION

_EVIDENCE_MAX: Final = 3
_EVIDENCE_BYTES_MAX: Final = 32 * 1024
_TEXT_MAX: Final = 256
_ERROR_MAX: Final = 512


def completed(request: CheckRequested, report: Report, report_sha256: str) -> CheckCompleted:
    """Return the result of `request` that `report`, stored under `report_sha256`, gives."""
    return CheckCompleted(
        check_id=request.check_id,
        publication_id=request.publication_id,
        image_id=request.image_id,
        complete=report.complete,
        items=_short(report.items),
        attributes=report.attributes,
        image_digest=report.image.digest,
        content_version=request.content_version,
        report_id=report.report_id,
        report_sha256=report_sha256,
        rules_version=report.rules_version,
        databases=report.databases,
        error=None if report.error is None else report.error[:_ERROR_MAX],
    )


def failed(request: CheckRequested, error: str) -> CheckCompleted:
    """Return the result of a check that gave no report, with the reason."""
    return CheckCompleted(
        check_id=request.check_id,
        publication_id=request.publication_id,
        image_id=request.image_id,
        complete=False,
        rules_version=RULES_VERSION,
        error=error.replace("\x00", "")[:_ERROR_MAX],
    )


def _short(items: Sequence[Item]) -> tuple[ResultItem, ...]:
    # An item that is fine needs no evidence to travel; the report has all of it.
    found = [() if item.level == "ok" else tuple(map(_evidence, item.evidence[:_EVIDENCE_MAX])) for item in items]
    return tuple(
        ResultItem(name=item.name, level=item.level, code=item.code, evidence=evidence, vulnerabilities=item.vulnerabilities)
        for item, evidence in zip(items, evidence_within(_EVIDENCE_BYTES_MAX, found), strict=True)
    )


def _evidence(found: ReportEvidence) -> Evidence:
    return Evidence(path=_cut(found.path), line=found.line, text=_cut(found.text), sha256=found.sha256)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_TEXT_MAX]
