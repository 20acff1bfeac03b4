"""``migrate``: the one-shot job that makes databases, roles and tables."""

from __future__ import annotations

import asyncio
import os

from cli.connection import POSTGRES_VARIABLE, endpoints
from cli.errors import CommandError
from cli.options import Json
from cli.output import Output


def command(as_json: Json = False) -> None:
    """Make a database and a role for each service, and bring its tables up to date. Safe to run twice, and twice at once.

    POSTGRES_DSN names an administrator: a role that may create roles and databases.

    Example:
      POSTGRES_DSN=postgresql://postgres:secret@127.0.0.1/postgres image-commons migrate
    """
    import asyncpg

    from shared.database.migrate_job import MigrationError, migrate_all
    from shared.settings import CommonSettings, SettingsError

    where, lines = endpoints(), list[str]()
    place = where.postgres_place
    os.environ.setdefault(POSTGRES_VARIABLE, where.postgres_dsn)
    try:
        settings = CommonSettings.from_environment()
        asyncio.run(migrate_all(settings, tell=lines.append))
    except (SettingsError, MigrationError) as error:
        raise CommandError("the databases could not be brought up to date", why=str(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        advice = "name an administrator's DSN in POSTGRES_DSN, or start a stack: image-commons stack up"
        raise CommandError(
            "PostgreSQL cannot be reached, or refuses", where=place, why=str(error) or type(error).__name__, advice=advice
        ) from error
    Output(as_json=as_json).document({"databases": lines}, lambda: "\n".join(lines))
