"""``check FILE``: inspect a disk image, with no broker, no database and no configuration."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.errors import CommandError, ExitCode
from cli.options import Json
from cli.output import Output, plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shared.contracts.report import Item, Report

EXIT_CODES = {"passed": 0, "blocked": 1, "undetermined": 3}
_MARKS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "failed": ("FAILED", "bold red"),
    "unsupported": ("unknown", "magenta"),
}
_OUTCOMES = {"passed": "bold green", "blocked": "bold red", "undetermined": "bold yellow"}
_ORDER = ("failed", "unsupported", "warning", "ok")


class PolicyChoice(StrEnum):
    """The policies that ship."""

    INSPECT = "inspect"
    GATE = "gate"


class DiskFormatChoice(StrEnum):
    """Formats that can be stated."""

    RAW = "raw"
    QCOW2 = "qcow2"


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A disk image: raw or qcow2.", show_default=False)],
    policy: Annotated[PolicyChoice, typer.Option(help="Which policy weighs what is found.")] = PolicyChoice.INSPECT,
    stated_format: Annotated[
        DiskFormatChoice | None,
        typer.Option("--format", help="The format it is said to have; another one blocks.", show_default=False),
    ] = None,
    named: Annotated[
        bool, typer.Option("--name", help="The file's name, without its suffix, is the image's: what it claims must be so.")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, max=3600, metavar="SECONDS", help="Limit of the inspection.")
    ] = 120,
    as_json: Json = False,
) -> None:
    """Check a disk image: what it is, whether it would start, whether it is safe to accept.

    The image is read by a confined process, never mounted, never booted, never written. A pipe gets the report as JSON.

    Exit codes: 0 passed, 1 blocked, 2 usage (no such file, not a regular file, not readable), 3 undetermined.

    Examples:
      image-commons check disk.qcow2
      image-commons check disk.raw --policy gate --json | jq .outcome
    """
    from services.checker.adapters.inspector_process import InspectorLimits
    from services.checker.handlers.check_file import check_file
    from shared.contracts.gate import POLICIES, weigh
    from shared.contracts.report import PolicyName

    out = Output(as_json=as_json)
    descriptor = _open(file)
    try:
        report = asyncio.run(
            check_file(
                descriptor,
                stated_format=None if stated_format is None else stated_format.value,
                name=file.stem if named else None,
                limits=InspectorLimits(wall_clock_s=timeout_s, cpu_s=int(timeout_s)),
                on_progress=_progress(out),
            )
        )
    except OSError as error:
        raise CommandError("the file cannot be read", where=str(file), why=error.strerror, exit_code=ExitCode.USAGE) from error
    finally:
        os.close(descriptor)
    chosen = POLICIES[policy.value]
    verdict = weigh(report.items, chosen, rules_version=report.rules_version, complete=report.complete, error=report.error)
    report = report.model_copy(
        update={"outcome": verdict.outcome, "policy": PolicyName(name=chosen.name, version=chosen.version)}
    )
    out.document(report.as_document(), lambda: _render(file, report, verdict.reasons))
    raise typer.Exit(EXIT_CODES[verdict.outcome])


def _open(file: Path) -> int:
    """Open a regular file for reading; anything else is a usage error. A FIFO must not block, a device must not be touched."""
    try:
        kind = file.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a directory" if stat.S_ISDIR(kind) else "no regular file"
            _refuse(file, what, "name the file of a disk image")
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        _refuse(file, getattr(error, "strerror", None) or str(error), "check the path and its permissions")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _refuse(file, "it changed while it was opened", "try again")
    return descriptor


def _refuse(file: Path, why: str, advice: str) -> NoReturn:
    raise CommandError("there is no disk image to check", where=str(file), why=why, advice=advice, exit_code=ExitCode.USAGE)


def _progress(out: Output) -> Any:
    """Return what shows progress: one line rewritten on a terminal, nothing in a pipe."""
    if out.json or not sys.stderr.isatty():
        return lambda _phase, _done, _total: None

    def show(phase: str, done: int, total: int) -> None:
        sys.stderr.write(f"\r\x1b[2Kchecking {phase} {done}/{total}" if done < total else "\r\x1b[2K")
        sys.stderr.flush()

    return show


def _render(file: Path, report: Report, reasons: tuple[str, ...]) -> RenderableType:
    from rich.console import Group

    parts: list[RenderableType] = [plain(f"{file.name}: {report.outcome}", _OUTCOMES[report.outcome or "undetermined"])]
    parts += [plain(f"  {reason}", "yellow") for reason in reasons]
    parts.append(_items(report))
    size = f"{report.image.size_bytes:,} bytes"
    virtual = f", {report.image.virtual_size_bytes:,} as a disk" if report.image.virtual_size_bytes is not None else ""
    parts.append(plain(f"{report.image.format or 'unknown format'}, {size}{virtual}", "dim"))
    parts.append(plain(report.image.digest, "dim"))
    held = ", ".join(report.confinement) or "nothing: the inspector ran unconfined"
    took = (report.finished_at - report.started_at).total_seconds()
    policy = report.policy.name if report.policy else "-"
    parts.append(plain(f"policy {policy}, rules {report.rules_version}, {took:.2f} s; confined by {held}", "dim"))
    return Group(*parts)


def _items(report: Report) -> RenderableType:
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "item", "found"):
        drawn.add_column(column, overflow="fold")
    for item in sorted(report.items, key=lambda item: (_ORDER.index(item.level), item.name)):
        mark, style = _MARKS[item.level]
        drawn.add_row(plain(mark, style), plain(item.name), _found(item))
    return drawn


def _found(item: Item) -> RenderableType:
    from rich.console import Group

    if item.level == "ok":
        return plain("-" if item.value is None else item.value)
    lines: list[RenderableType] = [plain(item.code or "", "bold")]
    for evidence in item.evidence[:3]:
        place = f"{evidence.path or ''}{'' if evidence.line is None else f':{evidence.line}'}"
        lines.append(plain(f"{place}  {evidence.text}".strip() if evidence.text else place))
    if item.advice:
        lines.append(plain(item.advice, "italic"))
    return Group(*lines)
