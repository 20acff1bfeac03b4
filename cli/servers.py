"""Whether Kafka and PostgreSQL are there at all, asked once before services are started on them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cli.errors import CommandError

if TYPE_CHECKING:
    from cli.connection import Endpoints

PROBE_TIMEOUT_S = 5.0


async def require_servers(where: Endpoints, service: str) -> None:
    """Raise `CommandError` unless a broker accepts connections and PostgreSQL lets `service` in, saying what is missing."""
    kafka, postgres = await asyncio.gather(_kafka(where), _postgres(where, service))
    away = [
        (name, place, why)
        for name, place, why in (
            ("Kafka", f"{where.kafka} (from {where.found})", kafka),
            ("PostgreSQL", where.postgres_place, postgres),
        )
        if why is not None
    ]
    if away:
        raise CommandError(
            f"{' and '.join(name for name, _, _ in away)} {'do' if len(away) > 1 else 'does'} not answer",
            where="; ".join(f"{name} at {place}" for name, place, _ in away),
            why="; ".join(dict.fromkeys(why for _, _, why in away)),
            advice="start a local stack: image-commons stack up; or name yours in KAFKA_BOOTSTRAP_SERVERS and POSTGRES_DSN",
        )


async def _kafka(where: Endpoints) -> str | None:
    """Return why no broker accepts a connection; None if one does."""
    why = "no address"
    for address in where.kafka.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError) as error:
            why = plainly(error)
        else:
            writer.close()
            return None
    return why


async def _postgres(where: Endpoints, service: str) -> str | None:
    """Return why PostgreSQL cannot be reached; None if it lets `service` in.

    Raises:
        CommandError: it is there, but has no database or role for the service.
    """
    import asyncpg

    from shared.settings import CommonSettings, SettingsError

    known = {"kafka_bootstrap_servers": where.kafka, "postgres_dsn": where.postgres_dsn}
    try:
        dsn = CommonSettings.model_validate(known).service_dsn(service)
        connection = await asyncpg.connect(dsn, timeout=PROBE_TIMEOUT_S)
    except SettingsError as error:
        raise CommandError("the settings are not usable", why=str(error)) from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise CommandError(
            f"PostgreSQL has no database for {service}, or does not let it in",
            where=where.postgres_place,
            why=str(error),
            advice="make databases and roles: image-commons migrate",
        ) from error
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return plainly(error)
    await connection.close()
    return None


def plainly(error: BaseException) -> str:
    """Return what went wrong with a connection in a few words."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "nothing listens there (connection refused)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
