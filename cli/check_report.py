"""A check report on a terminal: short, problems first, readable from 60 columns on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import plain
from shared.reporting.arrangement import arranged, short_digest, size_text, value_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from shared.contracts.report import Item, Report, ReportEvidence, ScanDatabase
    from shared.reporting.arrangement import Arrangement

_MARKS = {
    "failed": ("FAILED", "bold red"),
    "unsupported": ("unjudged", "magenta"),
    "warning": ("warning", "yellow"),
    "ok": ("ok", "green"),
}
_OUTCOMES = {"passed": "bold green", "blocked": "bold red", "undetermined": "bold yellow"}
_EVIDENCE_MAX = 3


def drawn(report: Report, name: str) -> RenderableType:
    """Return `report` of the image `name`, with its outcome, as it is shown."""
    from rich.console import Group

    told = arranged(report)
    outcome = report.outcome or "unweighed"
    parts: list[RenderableType] = [plain(f"{outcome.upper()}  {name}", _OUTCOMES.get(outcome, "bold")), plain(told.headline)]
    parts += [plain(f"  {reason}", "yellow") for reason in report.reasons or ()]
    if told.unjudged:
        parts.append(plain("not judged for want of a database:", "magenta"))
        parts += [plain(f"  {item}: {reason}", "magenta") for item, reason in told.unjudged]
    return Group(*parts, items_drawn(report), plain(""), _about(report))


def items_drawn(report: Report) -> RenderableType:
    """Return what was found, problems first, whatever it was weighed to."""
    from rich.console import Group

    told = arranged(report)
    problems = [plain(""), _problems(told)] if told.blocking or told.problems else []
    return Group(*problems, plain(""), _fine(told.fine))


def _problems(told: Arrangement) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in told.blocking + told.problems:
        mark, style = _MARKS[item.level]
        table.add_row(plain(mark, style), _found(item, blocks=item in told.blocking))
    return table


def _found(item: Item, *, blocks: bool) -> RenderableType:
    from rich.console import Group

    lines = [plain(f"{item.name}  {item.code or ''}{'  (decided it)' if blocks and item.level != 'failed' else ''}", "bold")]
    lines += [plain(_evidence(evidence)) for evidence in item.evidence[:_EVIDENCE_MAX]]
    more = len(item.evidence) - _EVIDENCE_MAX
    if more > 0:
        lines.append(plain(f"… and {more} more; --json or --html has all", "dim"))
    if item.advice:
        lines.append(plain(item.advice, "italic"))
    return Group(*lines)


def _evidence(evidence: ReportEvidence) -> str:
    place = f"{evidence.path or ''}{'' if evidence.line is None else f':{evidence.line}'}"
    return "  ".join(part for part in (place, evidence.text) if part)


def _fine(items: tuple[Item, ...]) -> RenderableType:
    if not items:
        return plain("nothing was found to be in order", "dim")
    told = [f"{item.name.partition('.')[2]} {value_text(item)}".strip() for item in items]
    return plain(f"in order: {', '.join(told)}", "green")


def _database(used: ScanDatabase) -> str:
    return f"{used.name} of {used.date}{f' ({short_digest(used.digest)})' if used.digest else ''}"


def _about(report: Report) -> RenderableType:
    from rich.console import Group

    image, policy = report.image, report.policy
    virtual = "" if image.virtual_size_bytes is None else f" ({size_text(image.virtual_size_bytes)} as a disk)"
    region = f" for {policy.region}" if policy is not None and policy.region else ""
    took = (report.finished_at - report.started_at).total_seconds()
    databases = ", ".join(map(_database, report.databases)) or "none"
    lines = [
        f"{image.format or 'unknown format'}, {size_text(image.size_bytes)}{virtual}",
        image.digest or "digest not known: it was not read to its end",
        f"policy {policy.name if policy else '-'}{region}, rules {report.rules_version}, databases: {databases}, {took:.2f} s",
        f"confined by {', '.join(report.confinement) or 'nothing: the inspector ran unconfined'}",
    ]
    return Group(*(plain(line, "dim") for line in lines))
