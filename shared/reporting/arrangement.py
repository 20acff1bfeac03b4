"""The order in which a report is told, on screen and page alike: what blocks, other problems, then everything."""

from dataclasses import dataclass
from typing import Final

from shared.contracts.report import Item, Level, Report

LEVELS: Final[tuple[Level, ...]] = ("failed", "unsupported", "warning", "ok")
"""From the worst."""
_DIGEST_SHOWN: Final = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A report's items, each in one place: `blocking` (of a report that nobody weighed: what failed), `problems`, `fine`.

    `unjudged` are those without a verdict for want of a database, with the reason; they are among the others too.
    """

    blocking: tuple[Item, ...]
    problems: tuple[Item, ...]
    fine: tuple[Item, ...]
    unjudged: tuple[tuple[str, str], ...]
    counts: tuple[tuple[Level, int], ...]
    headline: str


def arranged(report: Report) -> Arrangement:
    """Arrange `report`."""
    items = sorted(report.items, key=lambda item: (LEVELS.index(item.level), item.name))
    weighed = report.outcome is not None
    names = set(report.blocking or ()) if weighed else {item.name for item in items if item.level == "failed"}
    blocking = tuple(item for item in items if item.name in names and item.level != "ok")
    return Arrangement(
        blocking=blocking,
        problems=tuple(item for item in items if item.level != "ok" and item not in blocking),
        fine=tuple(item for item in items if item.level == "ok"),
        unjudged=tuple((one.item, one.reason) for one in report.unjudged or ()),
        counts=tuple((level, sum(item.level == level for item in items)) for level in LEVELS),
        headline=_headline(report, len(blocking)),
    )


def _headline(report: Report, blocking: int) -> str:
    things = "1 item" if blocking == 1 else f"{blocking} items"
    policy = f" under the policy {report.policy.name}" if report.policy is not None else ""
    if report.outcome == "blocked":
        return f"{things} {'keeps' if blocking == 1 else 'keep'} this image from being published{policy}."
    if report.outcome == "undetermined":
        return f"Not everything that has to be judged could be{policy}; such an image is not published."
    if report.outcome == "passed":
        return f"Nothing keeps this image from being published{policy}."
    if not report.complete:
        return "The check did not come to its end; no policy has weighed what it found."
    return f"{things} failed; no policy has weighed that yet."


def size_text(size_bytes: int) -> str:
    """Return a size as people say it: `1.6 GB`."""
    size, units = float(size_bytes), ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"]
    while size >= 999.95 and len(units) > 1:  # noqa: PLR2004 - rounds to 1000.0
        size, units = size / 1000, units[1:]
    return f"{size_bytes} bytes" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


def short_digest(digest: str) -> str:
    """Return the beginning of a digest, enough to tell it from others: `sha256:4f7051d08259…`."""
    return f"{digest[:_DIGEST_SHOWN]}…"


def value_text(item: Item) -> str:
    """Return what was detected, in one line."""
    if item.value is None:
        return ""
    if isinstance(item.value, bool):
        return "yes" if item.value else "no"
    return ", ".join(item.value) if isinstance(item.value, tuple) else str(item.value)
