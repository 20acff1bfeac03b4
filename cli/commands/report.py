"""``report``: what a check found, by the id of the report, of the check, or of the publication it was for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError, ExitCode
from cli.options import Json, identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from cli.connection import Endpoints


@dataclass(frozen=True, slots=True)
class Found:
    """What an id led to: the report if there is one by now, the check, and the publication."""

    report: Mapping[str, Any] | None = None
    check: Mapping[str, Any] = field(default_factory=dict)
    publication: Mapping[str, Any] = field(default_factory=dict)


def command(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            callback=identifier,
            help="Of a report, a check or a publication; a refusal names it.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show the report of a check: each item, what was found, where, and what to do about it.

    A pipe gets the report as it is stored; of a check that made none, how far it came.

    Example:
      image-commons report 0192f3c1-0000-7000-8000-000000000000
    """
    from cli.connection import endpoints
    from cli.output import Output

    found = find(endpoints(), id_)
    document = found.report or {name: part for name, part in (("check", found.check), ("publication", found.publication)) if part}
    Output(as_json=as_json).document(document, lambda: _view(found))


def find(where: Endpoints, id_: str) -> Found:
    """Return what `id_` leads to.

    Raises:
        CommandError: with exit code 5 if nothing has this id; as of `query` otherwise.
    """
    report = _get(where, "checker", "reports", id_)
    if report is not None:
        return Found(report)
    check, publication = _get(where, "checker", "checks", id_), {}
    if check is None:
        publication = _get(where, "publisher", "publications", id_) or {}
        check = _get(where, "checker", "checks", publication["check_id"]) if publication.get("check_id") else None
        if not publication:
            raise CommandError(
                "no report, no check and no publication has this id",
                where=id_,
                advice="`image-commons publications -a ACCOUNT` lists publications",
                exit_code=ExitCode.REFUSED,
            )
    report_id = (check or {}).get("report_id")
    return Found(_get(where, "checker", "reports", report_id) if report_id else None, check or {}, publication)


def _get(where: Endpoints, service: str, kind: str, id_: str) -> dict[str, Any] | None:
    """Return one document; None if there is none of this id."""
    from cli.http import query, segment

    try:
        document: dict[str, Any] = query(where, service, f"/{kind}/{segment(id_)}")
    except CommandError as error:
        if error.exit_code != ExitCode.REFUSED:
            raise
        return None
    return document


def _view(found: Found) -> RenderableType:
    from rich.console import Group

    from cli.check_report import items_drawn
    from cli.output import plain
    from cli.tables import fields
    from shared.contracts.report import Report

    parts = [plain(line, "bold") for line in _headings(found)]
    if found.report is None:
        told = found.check or {"why": "no check was made: publisher refused before it", "problems": _problems(found.publication)}
        return Group(*parts, fields(told))
    report = Report.model_validate_json(_json(found.report))
    if report.error:
        parts.append(plain(f"the check is not complete: {report.error}", "yellow"))
    image, took_s = found.report["image"], (report.finished_at - report.started_at).total_seconds()
    size = f"{image.get('format') or 'unknown format'}, {image.get('size_bytes') or 0:,} bytes"
    parts += [
        items_drawn(report),
        plain(f"{size}, {image.get('digest') or 'no digest'}", "dim"),
        plain(f"report {report.report_id}, rules {report.rules_version}, {took_s:.2f} s", "dim"),
    ]
    return Group(*parts)


def _headings(found: Found) -> list[str]:
    publication, check = found.publication, found.check
    lines = []
    if publication:
        reason = f": {publication['reason']}" if publication.get("reason") else ""
        lines.append(f"{publication['name']} ({publication['image_id']}) is {publication['state']}{reason}")
    elif check:
        lines.append(f"check of {check['image_id']}: {check['state']}")
    return lines


def _problems(publication: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [problem for line in publication.get("history", ()) for problem in line.get("problems", ())]


def _json(document: Mapping[str, Any]) -> str:
    import json

    return json.dumps(document)
