"""Check one open file: inspection and digest side by side, put together as a report without a verdict."""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from uuid_utils import uuid7

from services.checker.adapters.databases.store import DatabaseStore
from services.checker.adapters.digest import Hashed, digest_of
from services.checker.adapters.inspector_process import Inspection, InspectorLimits, OnProgress, inspect_image
from services.checker.adapters.malware_search import MalwareSearch, hand_over
from services.checker.handlers.judge_vulnerabilities import judge_vulnerabilities
from shared.contracts.content_version import content_version_of
from shared.contracts.facts import Claims
from shared.contracts.gate import VULNERABILITIES
from shared.contracts.report import ImageFile, Item, Report, ScanDatabase
from shared.contracts.rules import RULES_VERSION, declared_items, family_of

_TELL_EVERY_S: Final = 0.2
_DATABASES_MAX: Final = 16
"""Of a report."""
CHANGED: Final = "the image's content changed while it was being checked"


async def check_file(  # noqa: PLR0913 - what is said of an image, and what it is judged by; each can be left out
    descriptor: int,
    *,
    content_version: str | None = None,
    stated_format: str | None = None,
    name: str | None = None,
    claims: Claims | None = None,
    limits: InspectorLimits | None = None,
    on_progress: OnProgress = lambda _phase, _done, _total: None,
    command: Sequence[str] | None = None,
    malware: MalwareSearch | None = None,
    databases: DatabaseStore | None = None,
) -> Report:
    """Check the file open, read-only, at `descriptor`, which stays the caller's; `name` and `claims` are what is said of it.

    With `malware` its files are searched for it; known vulnerabilities are looked up in `databases`, if the rules declare that.

    The report has no policy and no outcome: it says what was found, and in `error` why it is not complete, if so. A file whose
    content version is another one afterwards than `content_version` (by default: than at the start) gives an incomplete report,
    and so does one whose digest is not worked out within the wall clock of `limits`, by then without it. Raises `OSError` if the
    file cannot be read at all.
    """
    limits = limits or InspectorLimits()
    started_at, began = datetime.now(UTC), time.monotonic()
    facts = os.fstat(descriptor)
    before, size_bytes = content_version or content_version_of(facts), facts.st_size
    cancelled = threading.Event()
    timings: dict[str, float] = {}

    digesting = asyncio.create_task(asyncio.to_thread(digest_of, descriptor, cancelled, hashed := Hashed()))
    digesting.add_done_callback(lambda _: timings.update(digest=round(time.monotonic() - began, 3)))
    try:
        async with hand_over(malware) as handed:
            inspection = await inspect_image(
                descriptor,
                stated_format=stated_format,
                name=name,
                claims=claims,
                limits=limits,
                on_progress=on_progress,
                command=command,
                malware=handed,
            )
            inspection.items = await handed.completed(inspection.items)
        timings["inspection"] = round(time.monotonic() - began, 3)
        items, used = await _by_databases(inspection, databases, timings)
        image_digest = await _until(began + limits.wall_clock_s, digesting, hashed, size_bytes, on_progress)
    finally:
        cancelled.set()
        # The thread reads the descriptor, which the caller closes: it must have ended.
        await asyncio.gather(digesting, return_exceptions=True)
    changed = content_version_of(os.fstat(descriptor)) != before
    unfinished = None if image_digest else f"{size_bytes} bytes were not read for their digest within {limits.wall_clock_s:.0f} s"
    error = CHANGED if changed else inspection.error or unfinished
    return Report(
        report_id=str(uuid7()),
        image=ImageFile(
            digest=image_digest,
            size_bytes=size_bytes,
            virtual_size_bytes=inspection.virtual_size_bytes,
            format=inspection.format,
        ),
        rules_version=RULES_VERSION,
        databases=(*used, *handed.databases)[:_DATABASES_MAX],
        started_at=started_at,
        finished_at=datetime.now(UTC),
        attributes=inspection.attributes,
        items=(*inspection.items, *items),
        complete=error is None,
        error=error,
        confinement=inspection.confinement,
        timings_s=timings,
        packages=tuple(inspection.packages.values()) or None,
    )


async def _by_databases(
    inspection: Inspection, databases: DatabaseStore | None, timings: dict[str, float]
) -> tuple[tuple[Item, ...], tuple[ScanDatabase, ...]]:
    """Return the items that the rules declare and databases judge, and the databases that were used."""
    family = family_of(inspection.attributes.platform, [item.name for item in inspection.items])
    if VULNERABILITIES not in declared_items(RULES_VERSION, family):
        return (), ()
    began = time.monotonic()
    item, used = await asyncio.to_thread(judge_vulnerabilities, tuple(inspection.packages.values()), databases)
    timings["vulnerabilities"] = round(time.monotonic() - began, 3)
    return (item,), used


async def _until(
    deadline: float, digesting: "asyncio.Task[str]", hashed: Hashed, size_bytes: int, on_progress: OnProgress
) -> str | None:
    """Return the digest, or None if it is not there by `deadline` of the monotonic clock, telling how far it is."""
    while not digesting.done() and (left_s := deadline - time.monotonic()) > 0:
        on_progress("digest", min(hashed.size_bytes, size_bytes), size_bytes)
        await asyncio.wait([digesting], timeout=min(left_s, _TELL_EVERY_S))
    return digesting.result() if digesting.done() else None
