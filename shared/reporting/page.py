"""A report as one HTML page: nothing is fetched, nothing runs, and what a stranger wrote is only ever text.

Every expression of the template passes `visible`, then Jinja's escaping: neither can be forgotten in one place. The page's own
policy (CSP) allows its one style sheet, by its digest, and nothing else.
"""

import base64
import hashlib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from shared.contracts.report import Item, PackageList, Report, ReportEvidence, ScanDatabase
from shared.reporting.arrangement import arranged, short_digest, size_text, value_text
from shared.reporting.titles import title_of
from shared.reporting.visible import visible

_FOLDER: Final = Path(__file__).resolve().parent
_DIGEST_SHOWN: Final = 12
LEVEL_WORDS: Final = {"failed": "failed", "unsupported": "not judged", "warning": "warning", "ok": "ok"}


def page(report: Report, *, name: str | None = None) -> str:
    """Return `report` as a page; `name` is what the image is called, if anything."""
    return _template().render(report=report, name=name, told=arranged(report), style=_style(), csp=content_security_policy())


def content_security_policy(*, framing: bool = False) -> str:
    """Return the page's own policy; `framing`: as an HTTP header, which can say that no other page may frame it."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    parts = ["default-src 'none'", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'"]
    return "; ".join([*parts, *(["frame-ancestors 'none'"] if framing else [])])


@cache
def _style() -> Markup:
    # The style sheet is ours, and is the only thing that enters the page as it is.
    return Markup((_FOLDER / "page.css").read_text(encoding="utf-8"))  # noqa: S704


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "looks_at": title_of,
            "value": value_text,
            "size": size_text,
            "short": short_digest,
            "place": _place,
            "word": LEVEL_WORDS.__getitem__,
            "age": _age,
            "evidenced": _evidenced,
            "counted": _counted,
            "packages": _packages,
        }
    )
    return environment.get_template("page.html.j2")


def _finalize(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _place(evidence: ReportEvidence) -> str:
    return f"{evidence.path or ''}{'' if evidence.line is None else f':{evidence.line}'}"


def _evidenced(evidence: ReportEvidence) -> str:
    return "" if evidence.sha256 is None else f"sha256 {evidence.sha256[:_DIGEST_SHOWN]}…"


def _age(database: ScanDatabase, on: date) -> str:
    try:
        days = (on - date.fromisoformat(database.date[:10])).days
    except ValueError:
        return "its age cannot be told"
    return "of that day" if days <= 0 else f"{days} day{'' if days == 1 else 's'} old when used"


def _counted(item: Item) -> list[tuple[str, int, int]]:
    """Return severities with the number of vulnerabilities that have a fix, and that have none, from the worst."""
    found = item.vulnerabilities
    if found is None:
        return []
    severities = ("critical", "high", "medium", "low", "unrated")
    return [(one, getattr(found, f"fixed_{one}"), getattr(found, f"unfixed_{one}")) for one in severities]


def _packages(lists: Sequence[PackageList]) -> str:
    return ", ".join(f"{len(one.packages)} {one.type}{f' ({one.distro})' if one.distro else ''}{_lacking(one)}" for one in lists)


def _lacking(listed: PackageList) -> str:
    return f": {listed.error}" if listed.error is not None else "" if listed.complete else ", and more"
