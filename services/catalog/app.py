"""The catalog: composition root."""

import asyncio

import uvloop

from services.catalog.handlers.image_events import apply_image_events
from services.catalog.http import routes
from services.catalog.settings import CatalogSettings
from shared.messaging.service import Consume, Service


def build(settings: CatalogSettings) -> Service:
    """Wire the catalog.

    It reads `image-events` alone: usage counters, which `instance-events` would feed, are not part of what it shows yet.
    """
    service = Service(
        "catalog",
        settings,
        consumes=[Consume("image-events", apply_image_events, gather_s=0.025)],
        routes=routes(lambda: service.database.pool),
        http_port=settings.http_port,
    )
    return service


def main() -> None:
    """Run until SIGTERM; raises `SettingsError` if the environment does not describe a catalog that could run."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(build(CatalogSettings.from_environment()).run())
