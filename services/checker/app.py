"""The checker: composition root."""

import asyncio

import uvloop

from services.checker.handlers.jobs import TakeJob, cancel
from services.checker.http import routes
from services.checker.settings import CheckerSettings
from services.checker.workers import Check, Workers
from shared.contracts.checks import CheckCancelled, CheckRequested
from shared.messaging.handlers import each
from shared.messaging.service import Consume, Service


def build(settings: CheckerSettings, check: Check | None = None) -> Service:
    """Wire the checker; `check` replaces the inspector, for benchmarks of everything else."""
    workers = Workers(settings, check)
    service = Service(
        "checker",
        settings,
        consumes=[Consume("check-jobs", each({CheckRequested: TakeJob(workers.wake), CheckCancelled: cancel}))],
        routes=routes(lambda: service.database.pool),
        tasks=[workers.run],
        needs={} if check is not None else {"databases": workers.databases_need},
        http_port=settings.http_port,
    )
    return service


def main() -> None:
    """Run until SIGTERM; raises `SettingsError` if the environment does not describe a checker that could run."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(CheckerSettings.from_environment()).run())
