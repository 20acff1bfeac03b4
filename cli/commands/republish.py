"""``republish``: tell the present state of every account and image once more."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import POSTGRES_VARIABLE, endpoints
from cli.errors import CommandError
from cli.options import Json
from cli.output import Output

if TYPE_CHECKING:
    from services.publisher.handlers.republish import Republished
    from services.publisher.settings import PublisherSettings


def command(
    records_per_s: Annotated[float, typer.Option("--records-per-s", min=1, help="At most so many states a second.")] = 500,
    as_json: Json = False,
) -> None:
    """Tell the present state of every account and image once more, for readers that lost theirs.

    publisher must be running: its relay sends what this puts into its outbox. Nothing else happens by it, and it may be run at
    any time and any number of times.

    Example:
      image-commons republish
    """
    import asyncpg

    from services.publisher.settings import PublisherSettings
    from shared.settings import SettingsError

    where = endpoints()
    place = where.postgres_place
    os.environ.setdefault(POSTGRES_VARIABLE, where.postgres_dsn)
    try:
        found = asyncio.run(_republish(PublisherSettings.from_environment(), records_per_s))
    except SettingsError as error:
        raise CommandError("the settings are not usable", why=str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            "publisher's database cannot be reached, or refuses",
            where=place,
            why=str(error) or type(error).__name__,
            advice="name PostgreSQL in POSTGRES_DSN, or start a stack: image-commons stack up",
        ) from error
    Output(as_json=as_json).document(
        {"images": found.images, "accounts": found.accounts},
        lambda: f"✓ {found.images} images and {found.accounts} accounts are told once more",
    )


async def _republish(settings: PublisherSettings, records_per_s: float) -> Republished:
    from services.publisher.handlers.republish import republish
    from shared.database.pool import Database

    dsn = settings.service_dsn("publisher")
    database = await Database.connect(dsn, service="publisher", topic_prefix=settings.topic_prefix, connections_max=4)
    try:
        return await republish(database, records_per_s=records_per_s)
    finally:
        await database.close()
