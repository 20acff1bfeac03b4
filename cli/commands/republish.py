"""``republish``: tell the present state of every account, image and instance once more."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import POSTGRES_VARIABLE, endpoints
from cli.errors import CommandError
from cli.options import Json
from cli.output import Output

if TYPE_CHECKING:
    from shared.settings import CommonSettings


def command(
    records_per_s: Annotated[float, typer.Option("--records-per-s", min=1, help="At most so many states a second.")] = 500,
    as_json: Json = False,
) -> None:
    """Tell the present state of every account, image and instance once more, for readers that lost theirs.

    publisher and launcher must be running: their relays send what this puts into their outboxes. Nothing else happens by it, and
    it may be run at any time and any number of times.

    Example:
      image-commons republish
    """
    import asyncpg

    from shared.settings import CommonSettings, SettingsError

    where = endpoints()
    place = where.postgres_place
    os.environ.setdefault(POSTGRES_VARIABLE, where.postgres_dsn)
    try:
        found = asyncio.run(_republish(CommonSettings.from_environment(), records_per_s))
    except SettingsError as error:
        raise CommandError("the settings are not usable", why=str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            "the services' databases cannot be reached, or refuses",
            where=place,
            why=str(error) or type(error).__name__,
            advice="name PostgreSQL in POSTGRES_DSN, or start a stack: image-commons stack up",
        ) from error
    Output(as_json=as_json).document(
        found,
        lambda: (
            f"✓ queued: {found['images']} images, {found['accounts']} accounts and {found['instances']} instances are told once "
            "more as publisher and launcher relay them"
        ),
    )


async def _republish(settings: CommonSettings, records_per_s: float) -> dict[str, int]:
    from services.launcher.handlers.republish import republish as tell_instances
    from services.publisher.handlers.republish import republish as tell_images
    from shared.database.pool import Database

    async with AsyncExitStack() as stack:
        databases = {}
        for service in ("publisher", "launcher"):
            dsn, prefix = settings.service_dsn(service), settings.topic_prefix
            databases[service] = await Database.connect(dsn, service=service, topic_prefix=prefix, connections_max=4)
            stack.push_async_callback(databases[service].close)
        told = await tell_images(databases["publisher"], records_per_s=records_per_s)
        instances = await tell_instances(databases["launcher"], records_per_s=records_per_s)
    return {"images": told.images, "accounts": told.accounts, "instances": instances.instances}
