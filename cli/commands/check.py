"""``check IMAGE``: inspect a disk image, with no broker, no database and no configuration."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError, ExitCode
from cli.options import Json
from cli.output import Output

if TYPE_CHECKING:
    from cli.check_image import Image
    from services.checker.adapters.databases.store import DatabaseStore
    from services.checker.adapters.inspector_process import OnProgress
    from services.checker.adapters.malware_search import MalwareSearch
    from shared.contracts.gate import GateVerdict
    from shared.contracts.report import Item, Report
    from shared.policy import Policy

EXIT_CODES = {"passed": 0, "blocked": 1, "undetermined": 3}
_TO_STDOUT = Path("-")


class DiskFormatChoice(StrEnum):
    """Formats that can be stated."""

    RAW = "raw"
    QCOW2 = "qcow2"
    VMDK = "vmdk"
    VHD = "vhd"
    VHDX = "vhdx"
    VDI = "vdi"


def command(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="A disk image, raw, qcow2, VMDK, VHD, VHDX or VDI: a file, https://host/path or s3://bucket/key.",
            show_default=False,
        ),
    ],
    policy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="What weighs the findings: inspect, gate, or a policy file.")
    ] = "inspect",
    region: Annotated[
        str | None,
        typer.Option(help="The region whose part of the policy holds.", show_default=False),
    ] = None,
    stated_format: Annotated[
        DiskFormatChoice | None,
        typer.Option("--format", help="The format it is said to have; another one blocks.", show_default=False),
    ] = None,
    named: Annotated[
        bool, typer.Option("--name", help="The file's name, without its suffix, is the image's: what it claims must be so.")
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=1, max=3600, metavar="SECONDS", help="Limit of the inspection; fetching is not counted."),
    ] = 120,
    databases: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            envvar="IMAGE_COMMONS_DATABASES",
            help="The folder of databases; by default where `databases add` puts them.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page too; - for stdout.", show_default=False)
    ] = None,
    sbom: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the installed packages as CycloneDX JSON; - for stdout.", show_default=False),
    ] = None,
    clamd: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            envvar="IMAGE_COMMONS_CLAMD",
            help="clamd that searches the files too: unix:/path or tcp:host:port.",
            show_default=False,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST|NETWORK",
            help="For https://: a host it may lead on to, or a network that is not public. May be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a disk image: what it is, whether it would start, whether it is safe to accept.

    The image is read by a confined process, never mounted, never booted, never written. A pipe gets the report as JSON.

    Exit codes: 0 passed, 1 blocked, 2 usage (no such image or policy, not readable, no packages for --sbom), 3 undetermined.

    Examples:
      image-commons check disk.qcow2 --html report.html
      image-commons check https://cloud.example.org/debian-13.qcow2
      image-commons check disk.raw --policy gate --region us-east-1 --json | jq .outcome
    """
    from cli.check_image import image_of
    from cli.check_progress import progress_bar
    from cli.database_folder import default_folder
    from services.checker.adapters.databases.store import DatabaseStore
    from services.checker.adapters.inspector_process import InspectorLimits

    out = Output(as_json=as_json)
    chosen = _policy(policy, region)
    store = DatabaseStore(databases or default_folder())
    malware = _malware(clamd, store)
    meant = image_of(image, allow or ())
    _agree(meant.path, as_json=as_json, targets=[target for target in (html, sbom) if target is not None])

    try:
        with progress_bar(wanted=not out.json) as on_progress:
            report = asyncio.run(
                _checked(
                    meant,
                    on_progress,
                    stated_format=None if stated_format is None else stated_format.value,
                    name=meant.stem if named else None,
                    limits=InspectorLimits(wall_clock_s=timeout_s, cpu_s=int(timeout_s)),
                    databases=store,
                    malware=malware,
                )
            )
    except CommandError:
        raise
    except Exception as error:
        # Whatever it is, it says nothing of the image: exit code 1 would.
        raise CommandError(
            "the image could not be checked",
            where=meant.where,
            why=getattr(error, "strerror", None) or repr(error),
            advice="try again; if it repeats, report it",
            exit_code=ExitCode.UNDETERMINED,
        ) from error
    weighed = _weighed(report, chosen, region)
    # What is printed first is not lost with a file that cannot be written.
    if _TO_STDOUT not in {html, sbom}:
        _tell(out, weighed, meant.name)
    if html is not None:
        _write_page(html, weighed, meant.name)
    if sbom is not None:
        _write_bill(sbom, weighed, meant.name)
    raise typer.Exit(EXIT_CODES[weighed.outcome or "undetermined"])


def _policy(choice: str, region: str | None) -> Policy:
    import re

    from shared.contracts.base import REGION_PATTERN
    from shared.policy import PolicyError, load_policy

    if region is not None and re.fullmatch(REGION_PATTERN.strip("^$"), region) is None:
        raise CommandError("that is no region", where=region, advice="a name such as eu-central-1", exit_code=ExitCode.USAGE)
    try:
        return load_policy(choice)
    except PolicyError as error:
        raise CommandError("the policy cannot be used", where=choice, why=str(error), exit_code=ExitCode.USAGE) from error


def _malware(clamd: str | None, store: DatabaseStore) -> MalwareSearch | None:
    from services.checker.adapters.databases.manifest import DatabaseError
    from services.checker.adapters.malware_search import search_by_rules

    try:
        return search_by_rules(clamd, store=store)
    except ValueError as error:
        raise CommandError("that is no address of clamd", where=clamd, why=str(error), exit_code=ExitCode.USAGE) from error
    except DatabaseError as error:
        raise CommandError(error.what, where=error.where, why=error.why, advice=error.advice, exit_code=ExitCode.USAGE) from error


def _agree(image: Path | None, *, as_json: bool, targets: list[Path]) -> None:
    """Refuse targets that the check would end in vain for, before it begins."""
    if targets.count(_TO_STDOUT) + as_json > 1:
        raise CommandError("only one thing can go to standard output", advice="name a file", exit_code=ExitCode.USAGE)
    for target in targets:
        if target == _TO_STDOUT:
            continue
        why = None
        if target.is_dir() or not target.absolute().parent.is_dir():
            why = "a folder" if target.is_dir() else "its folder does not exist"
        elif image is not None and target.exists() and image.exists() and target.samefile(image):
            why = "it is the image itself"
        if why is not None:
            raise CommandError(
                "the report cannot be written there", where=str(target), why=why, advice="name a file", exit_code=ExitCode.USAGE
            )


async def _checked(image: Image, on_progress: OnProgress, **how: Any) -> Report:
    """Open the image, wherever it is, and return what `check_file` finds, given `how`."""
    from services.checker.handlers.check_file import check_file
    from services.checker.handlers.still_there import still_there

    opened = await image.open(on_progress)
    try:
        report = await check_file(opened.descriptor, content_version=opened.file_version, on_progress=on_progress, **how)
        return await still_there(report, opened)
    finally:
        opened.close()


def _weighed(report: Report, policy: Policy, region: str | None) -> Report:
    """Return `report` with what `policy` says of it; items have the level that the policy's limits give them."""
    from shared.contracts.gate import weigh
    from shared.contracts.report import PolicyName, Unjudged

    verdict = weigh(
        report.items,
        policy.region(region).gate,
        rules_version=report.rules_version,
        platform=report.attributes.platform,
        databases=report.databases,
        now=report.finished_at,
        complete=report.complete,
        error=report.error,
    )
    return report.model_copy(
        update={
            "outcome": verdict.outcome,
            "policy": PolicyName(name=policy.name, version=policy.version, digest=policy.digest, region=region),
            "items": tuple(_levelled(item, verdict) for item in report.items),
            "blocking": verdict.items or None,
            "reasons": tuple(reason[:1024] for reason in verdict.reasons) or None,
            "unjudged": tuple(Unjudged(item=name, reason=reason) for name, reason in verdict.unjudged) or None,
        }
    )


def _levelled(item: Item, verdict: GateVerdict) -> Item:
    from shared.contracts.gate import NO_DATABASE

    level = verdict.levels.get(item.name)
    if level is None:
        return item
    if level != "unsupported":
        return item.model_copy(update={"level": level})
    code = item.name.partition(".")[2] + NO_DATABASE
    advice = f"{dict(verdict.unjudged)[item.name]}: load a newer one"
    return item.model_copy(update={"level": level, "code": code, "advice": advice})


def _write_page(target: Path, report: Report, name: str) -> None:
    from shared.reporting.page import page

    _write(target, page(report, name=name))


def _write_bill(target: Path, report: Report, name: str) -> None:
    from shared.reporting.bill_of_materials import bill_of_materials, reason_for_no_bill

    reason = reason_for_no_bill(report)
    if reason is not None:
        raise CommandError(
            f"there is no bill of materials: {reason}",
            where=str(target),
            why=report.error,
            advice="the report says what could be read",
            exit_code=ExitCode.USAGE,
        )
    _write(target, bill_of_materials(report, name=name))


def _write(target: Path, text: str) -> None:
    if target == _TO_STDOUT:
        print(text)
        return
    try:
        # Names of files in an image may hold what no encoding has: it was made visible before.
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError("the report cannot be written", where=str(target), why=error.strerror) from error


def _tell(out: Output, report: Report, name: str) -> None:
    from cli.check_report import drawn

    out.document(report.as_document(), lambda: drawn(report, name))
