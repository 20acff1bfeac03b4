"""Workers: claim a job, check the image, keep the report, tell the result. Killed at any point, another takes over."""

import asyncio
import hashlib
import os
import platform
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from services.checker.adapters.databases.manifest import DatabaseError
from services.checker.adapters.databases.store import DatabaseStore
from services.checker.adapters.inspector_process import InspectorLimits, OnProgress, inspect_image
from services.checker.adapters.jobs import (
    Claim,
    claim_job,
    complete_job,
    note_progress,
    queue_state,
    renew_claim,
    store_report,
)
from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.malware_search import MalwareSearches, hand_over, search_by_rules
from services.checker.adapters.sources.base import ContentChanged, Opened, Source, Wanted, is_digest
from services.checker.adapters.sources.opening import open_image
from services.checker.domain.confinement import is_confined, why_not
from services.checker.domain.result import completed, failed
from services.checker.handlers.check_file import CHANGED, check_file
from services.checker.handlers.need_databases import measure_ages, wanted_databases, why_wait
from services.checker.handlers.still_there import still_there
from services.checker.settings import CheckerSettings
from services.checker.sources import sources_of
from shared import faults
from shared.contracts.checks import CheckProgressed, CheckRequested
from shared.contracts.report import Report
from shared.contracts.rules import RULES_VERSION
from shared.database.pool import Database
from shared.messaging.service import Service
from shared.policy import Policy, PolicyError, load_policy
from shared.settings import SettingsError
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

_POLL_S: Final = 1.0
_MEASURE_EVERY_S: Final = 5.0
_RETRY_S: Final = 0.5
_PROGRESS_EVERY_S: Final = 1.0
_REPORT_BYTES_MAX: Final = 8 * 1024 * 1024

logger = get_logger(__name__)
Check = Callable[[CheckRequested, OnProgress], Awaitable[Report]]
"""Checks the image of a job; raises `LocationRefused` or `OSError` where it cannot be opened or read."""


class Workers:
    """The workers of one process. `check` is a seam for benchmarks; services use the inspector.

    Raises `SettingsError` if the policy or a source of images cannot be used.
    """

    def __init__(self, settings: CheckerSettings, check: Check | None = None) -> None:
        self._settings = settings
        self._check = check or self._check_location
        self._sources: dict[str, Source] = sources_of(settings) if check is None else {}
        self._wake = asyncio.Event()
        self._store = None if settings.databases is None else DatabaseStore(settings.databases)
        self._wanted = wanted_databases(_policy(settings), RULES_VERSION)
        self._waiting: str | None = None
        self._malware = MalwareSearches(self._store, settings.clamd, settings.clamd_file_bytes)

    def wake(self) -> None:
        """Tell the workers that there may be a job."""
        self._wake.set()

    async def databases_need(self) -> str | None:
        """Return which database is missing that the policy asks for, or too old; None if checks need not wait."""
        return await asyncio.to_thread(self._why_wait)

    def _why_wait(self) -> str | None:
        why = why_wait(self._store, self._wanted)
        if why is None:
            try:
                self._malware.now()
            except (DatabaseError, OSError) as error:
                why = f"files cannot be searched for malware: {error}"
        return why

    async def run(self, service: Service) -> None:
        """Work until cancelled; raises `SettingsError` if the inspector cannot be confined and nobody said it need not be."""
        if self._check == self._check_location:
            await self._probe_confinement()
        async with asyncio.TaskGroup() as group:
            for number in range(self._settings.workers):
                group.create_task(self._work(service, f"worker.{number}"))
            group.create_task(self._measure(service))

    async def _probe_confinement(self) -> None:
        """Inspect an empty file, to see what holds an inspector on this system."""
        descriptor = os.memfd_create("nothing")
        try:
            async with hand_over(await asyncio.to_thread(search_by_rules)) as handed:
                inspection = await inspect_image(descriptor, command=self._settings.inspector_command, malware=handed)
        finally:
            os.close(descriptor)
        held = inspection.confinement
        await logger.ainfo("inspector_confined", by=held, error=inspection.error)
        if not is_confined(held) and not self._settings.allow_unconfined:
            message = (
                f"the inspector cannot be confined on this system: {why_not(held)} ({inspection.error or 'it works otherwise'}). "
                "Use a kernel with seccomp and a system with libseccomp.so.2, or, where every image is trusted, "
                "set IMAGE_COMMONS_ALLOW_UNCONFINED=true"
            )
            raise SettingsError(message)

    async def _work(self, service: Service, name: str) -> None:
        while True:
            service.health.beat(name)
            self._wake.clear()
            try:
                found = await self._turn(service.database, lambda: service.health.beat(name))
            except Exception as error:  # noqa: BLE001 - the claim's lease runs out, and the job is claimed again
                await logger.awarning("worker_retried", worker=name, error=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            if not found:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _POLL_S)

    async def _turn(self, database: Database, beat: Callable[[], None]) -> bool:
        """Claim and do one job; returns whether there was one, and it need not wait for a database."""
        if self._check == self._check_location and await self._waits_for_databases():
            return False
        async with database.transaction() as tx:
            claim = await claim_job(tx, self._settings.lease_s)
            if claim is None:
                return False
            if claim.number > self._settings.claims_max:
                result = failed(claim.request, f"the check was given up after {self._settings.claims_max} tries")
                sequence = await complete_job(tx, claim, result)
                tx.traceparent = claim.traceparent
                tx.emit(result, key=claim.image_id, sequence=sequence, correlation_id=claim.correlation_id)
            await faults.reach("checker.claim.before_commit")
        await faults.reach("checker.claim.after_commit")
        if claim.number <= self._settings.claims_max:
            await self._do(database, claim, beat)
        return True

    async def _waits_for_databases(self) -> bool:
        why = await self.databases_need()
        if why != self._waiting:
            self._waiting = why
            metrics.DATABASES_MISSING.set(why is not None)
            await logger.awarning("checks_wait_for_a_database" if why else "checks_go_on", why=why)
        return why is not None

    async def _do(self, database: Database, claim: Claim, beat: Callable[[], None]) -> None:
        began = time.monotonic()
        latest: dict[str, tuple[str, int, int]] = {}

        def on_progress(phase: str, done: int, total: int) -> None:
            latest["progress"] = (phase, done, total)

        checking = asyncio.ensure_future(self._check(claim.request, on_progress))
        holding = asyncio.create_task(self._hold(database, claim, latest, beat))
        try:
            await asyncio.wait([checking, holding], return_when=asyncio.FIRST_COMPLETED)
            if not checking.done():
                # The claim is lost or the check was cancelled: whatever it would find is not ours to say.
                metrics.CHECK_SECONDS.labels("lost").observe(time.monotonic() - began)
                return
            await self._finish(database, claim, checking)
            metrics.CHECK_SECONDS.labels("done").observe(time.monotonic() - began)
        finally:
            for task in (checking, holding):
                task.cancel()
            await asyncio.gather(checking, holding, return_exceptions=True)

    async def _finish(self, database: Database, claim: Claim, checking: "asyncio.Future[Report]") -> None:
        try:
            report = checking.result()
        except (LocationRefused, OSError) as error:
            await self._tell(database, claim, None, str(error))
        else:
            await self._tell(database, claim, report, "")

    async def _tell(self, database: Database, claim: Claim, report: Report | None, error: str) -> None:
        document = b"" if report is None else report.model_dump_json(exclude_none=True).encode()
        if len(document) > _REPORT_BYTES_MAX:
            report, error = None, f"a report of {len(document)} bytes is over {_REPORT_BYTES_MAX}"
        sha256 = hashlib.sha256(document).hexdigest()
        image_digest = None if report is None else report.image.digest
        if report is not None and image_digest is None:
            # A report that no digest binds to the image proves nothing about it.
            error, report = report.error or "the check gave no digest", None
        result = failed(claim.request, error) if report is None else completed(claim.request, report, sha256)
        async with database.transaction() as tx:
            sequence = await complete_job(tx, claim, result)
            if sequence is None:
                return
            if report is not None and image_digest is not None:
                await store_report(
                    tx,
                    report_id=report.report_id,
                    check_id=claim.check_id,
                    image_digest=image_digest,
                    sha256=sha256,
                    document=document,
                )
            tx.traceparent = claim.traceparent
            tx.emit(result, key=claim.image_id, sequence=sequence, correlation_id=claim.correlation_id)
            await faults.reach("checker.report.before_commit")
        await faults.reach("checker.report.after_commit")

    async def _hold(
        self, database: Database, claim: Claim, latest: dict[str, tuple[str, int, int]], beat: Callable[[], None]
    ) -> None:
        """Renew the claim and tell of progress; returns when the claim is not ours any more."""
        renewed = time.monotonic()
        told: tuple[str, int, int] | None = None
        pause_s = min(_PROGRESS_EVERY_S, self._settings.renew_every_s)
        while True:
            await asyncio.sleep(pause_s)
            beat()
            try:
                if time.monotonic() - renewed >= self._settings.renew_every_s:
                    if not await renew_claim(database.pool, claim, self._settings.lease_s):
                        return
                    renewed = time.monotonic()
                progress = latest.get("progress")
                if progress is not None and progress != told:
                    await self._progress(database, claim, progress)
                    told = progress
            except Exception as error:  # noqa: BLE001 - a missed renewal costs at most the claim; the fence decides, not we
                await logger.awarning("renewal_retried", check_id=claim.check_id, error=repr(error))

    async def _progress(self, database: Database, claim: Claim, progress: tuple[str, int, int]) -> None:
        phase, done, total = progress
        async with database.transaction() as tx:
            sequence = await note_progress(tx, claim, phase, done, total)
            if sequence is not None:
                event = CheckProgressed(check_id=claim.check_id, image_id=claim.image_id, phase=phase, done=done, total=total)
                tx.traceparent = claim.traceparent
                tx.emit(event, key=claim.image_id, sequence=sequence, correlation_id=claim.correlation_id)

    async def _check_location(self, request: CheckRequested, on_progress: OnProgress) -> Report:
        until = time.monotonic() + self._settings.check_timeout_s
        try:
            wanted = Wanted(request.location, request.content_version, until, on_progress)
            opened = await open_image(self._sources, wanted)
        except ContentChanged:
            raise LocationRefused(CHANGED) from None
        try:
            if opened.content_version not in (None, request.content_version):
                raise LocationRefused(CHANGED)
            left_s = max(1.0, until - time.monotonic())
            report = await check_file(
                opened.descriptor,
                content_version=opened.file_version,
                stated_format=request.format,
                name=request.name,
                claims=request.claims,
                limits=InspectorLimits(
                    wall_clock_s=left_s, cpu_s=max(1, int(left_s)), memory_bytes=self._settings.inspector_memory_bytes
                ),
                on_progress=on_progress,
                command=self._settings.inspector_command,
                databases=self._store,
                malware=await asyncio.to_thread(self._malware.now),
            )
            report = await _still(report, request, opened)
        finally:
            opened.close()
        if report.complete and not is_confined(report.confinement) and not self._settings.allow_unconfined:
            error = f"the inspector was not confined: {why_not(report.confinement)}"
            report = report.model_copy(update={"complete": False, "error": error})
        return report.model_copy(update={"worker": f"{platform.node()[:48]}:{os.getpid()}"})

    async def _measure(self, service: Service) -> None:
        while True:
            try:
                depth, age_s = await queue_state(service.database.pool, timeout_s=_MEASURE_EVERY_S)
            except Exception as error:  # noqa: BLE001 - a figure that cannot be had ends no worker; the next turn asks again
                await logger.awarning("queue_not_measured", error=repr(error))
            else:
                metrics.CHECK_QUEUE_DEPTH.set(depth)
                metrics.CHECK_QUEUE_AGE_SECONDS.set(age_s)
            await asyncio.to_thread(measure_ages, self._store)
            await asyncio.sleep(_MEASURE_EVERY_S)


def _policy(settings: CheckerSettings) -> Policy:
    try:
        return load_policy(settings.policy)
    except PolicyError as error:
        message = f"The policy is not usable; correct it and start again:\n{error}"
        raise SettingsError(message) from error


async def _still(report: Report, request: CheckRequested, opened: Opened) -> Report:
    """Return `report`, not complete if what it is about is not what was asked for or is not at its location any more."""
    if is_digest(request.content_version) and report.image.digest not in (None, request.content_version):
        return report.model_copy(update={"complete": False, "error": CHANGED})
    return await still_there(report, opened)
