"""From a report to the event that tells of it. Pure."""

from typing import Final

from shared.contracts.answers import Evidence
from shared.contracts.checks import CheckCompleted, CheckRequested, ResultItem
from shared.contracts.gate import RULES_VERSION
from shared.contracts.report import Item, Report

_EVIDENCE_MAX: Final = 3
_TEXT_MAX: Final = 256
_ERROR_MAX: Final = 512


def completed(request: CheckRequested, report: Report, report_sha256: str) -> CheckCompleted:
    """Return the result of `request` that `report`, stored under `report_sha256`, gives."""
    return CheckCompleted(
        check_id=request.check_id,
        publication_id=request.publication_id,
        image_id=request.image_id,
        complete=report.complete,
        items=tuple(map(_short, report.items)),
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


def _short(item: Item) -> ResultItem:
    # An item that is fine needs no evidence to travel; the report has all of it.
    evidence = () if item.level == "ok" else item.evidence[:_EVIDENCE_MAX]
    return ResultItem(
        name=item.name,
        level=item.level,
        code=item.code,
        evidence=tuple(Evidence(path=_cut(one.path), line=one.line, text=_cut(one.text), sha256=one.sha256) for one in evidence)
        or None,
    )


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_TEXT_MAX]
