"""Check one open file: inspection and digest side by side, put together as a report without a verdict."""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from uuid_utils import uuid7

from services.checker.adapters.digest import digest_of
from services.checker.adapters.inspector_process import InspectorLimits, OnProgress, inspect_image
from shared.contracts.content_version import content_version_of
from shared.contracts.facts import Claims
from shared.contracts.gate import RULES_VERSION
from shared.contracts.report import ImageFile, Report

CHANGED = "the image's content changed while it was being checked"


async def check_file(
    descriptor: int,
    *,
    stated_format: str | None = None,
    name: str | None = None,
    claims: Claims | None = None,
    limits: InspectorLimits | None = None,
    on_progress: OnProgress = lambda _phase, _done, _total: None,
    command: Sequence[str] | None = None,
    worker: str | None = None,
) -> Report:
    """Check the file open, read-only, at `descriptor`, which stays the caller's; `name` and `claims` are what is said of it.

    The report has no policy and no outcome: it says what was found, and in `error` why it is not complete, if so. A file whose
    content version is another one afterwards gives an incomplete report. Raises `OSError` if the file cannot be read at all.
    """
    started_at, began = datetime.now(UTC), time.monotonic()
    before = content_version_of(os.fstat(descriptor))
    cancelled = threading.Event()
    timings: dict[str, float] = {}

    async def digest() -> tuple[str, int]:
        found = await asyncio.to_thread(digest_of, descriptor, cancelled)
        timings["digest"] = round(time.monotonic() - began, 3)
        return found

    digesting = asyncio.create_task(digest())
    try:
        inspection = await inspect_image(
            descriptor,
            stated_format=stated_format,
            name=name,
            claims=claims,
            limits=limits or InspectorLimits(),
            on_progress=on_progress,
            command=command,
        )
        timings["inspection"] = round(time.monotonic() - began, 3)
        image_digest, size_bytes = await digesting
    finally:
        cancelled.set()
        # The thread reads the descriptor, which the caller closes: it must have ended.
        await asyncio.wait([digesting])
    changed = content_version_of(os.fstat(descriptor)) != before
    error = CHANGED if changed else inspection.error
    return Report(
        report_id=str(uuid7()),
        image=ImageFile(
            digest=image_digest,
            size_bytes=size_bytes,
            virtual_size_bytes=inspection.virtual_size_bytes,
            format=inspection.format,
        ),
        rules_version=RULES_VERSION,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        attributes=inspection.attributes,
        items=tuple(inspection.items),
        complete=error is None,
        error=error,
        worker=worker,
        confinement=inspection.confinement,
        timings_s=timings,
    )
