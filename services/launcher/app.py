"""The launcher: composition root."""

import asyncio

import uvloop

from services.launcher.handlers.copies import apply_account_events, apply_image_events
from services.launcher.handlers.requests import instance_requests
from services.launcher.http import routes
from services.launcher.settings import LauncherSettings
from shared.messaging.service import Consume, Service


def build(settings: LauncherSettings) -> Service:
    """Wire the launcher."""
    service = Service(
        "launcher",
        settings,
        consumes=[
            Consume("image-events", apply_image_events),
            Consume("account-events", apply_account_events),
            Consume("instance-requests", instance_requests),
        ],
        routes=routes(lambda: service.database.pool),
        http_port=settings.http_port,
    )
    return service


def main() -> None:
    """Run until SIGTERM; raises `SettingsError` if the environment does not describe a launcher that could run."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(LauncherSettings.from_environment()).run())
