"""The migrate job: a database and a role for each service, and its tables. Safe to run twice, and twice at once."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
from pogo_core.util import migrate

from shared.settings import CommonSettings

SERVICES: Final = ("publisher", "checker", "catalog", "launcher")
_PLUMBING: Final = Path(__file__).resolve().parent / "migrations"
_SERVICES_FOLDER: Final = Path(__file__).resolve().parents[2] / "services"
_LOCK: Final = 0x1C0_0002


class MigrationError(Exception):
    """A database could not be brought up to date; the text says which and why."""


async def migrate_all(
    settings: CommonSettings, *, services: Sequence[str] = SERVICES, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Make role, database and tables of each of `services`, as the administrator of `settings.postgres_dsn`.

    `tell` hears one line a step. Raises `OSError` or `asyncpg.PostgresError` if the server is away or refuses, `MigrationError`
    if a migration fails; what was done before stays, and a further run goes on from there.
    """
    admin_dsn = settings.admin_dsn()
    connection = await asyncpg.connect(admin_dsn, timeout=10)
    try:
        # One run at a time: neither CREATE DATABASE nor the migration library takes a lock of its own.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        for service in services:
            name = f"{settings.database_prefix}{service}"
            await _ensure_role(connection, name, settings.role_password(service))
            await _ensure_database(connection, name)
            applied = await _migrate(_with_database(admin_dsn, name), service, name)
            tell(f"{name}: {applied} migrations applied" if applied else f"{name}: up to date")
    finally:
        await connection.close()


async def _ensure_role(connection: "asyncpg.Connection[Any]", name: str, password: str | None) -> None:
    exists = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name)
    if not exists:
        await connection.execute(f'CREATE ROLE "{name}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION')
    if password is not None:
        # Utility statements take no parameters; the server quotes the literal for us.
        statement = await connection.fetchval("SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", name, password)
        await connection.execute(statement)


async def _ensure_database(connection: "asyncpg.Connection[Any]", name: str) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
        # Collation C compares bytes: the order in which Python sorts, the same on every server, and the quickest.
        await connection.execute(f"CREATE DATABASE \"{name}\" OWNER \"{name}\" ENCODING 'UTF8' LC_COLLATE 'C' TEMPLATE template0")
    # Every role may connect to every database unless told otherwise.
    await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


async def _migrate(dsn: str, service: str, role: str) -> int:
    """Apply the plumbing's and the service's migrations, as the service's role; returns how many were new."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(f'GRANT ALL ON SCHEMA public TO "{role}"')
        # What a migration makes belongs to the service's role.
        await connection.execute(f'SET ROLE "{role}"')
        before = await _count_applied(connection)
        with tempfile.TemporaryDirectory() as folder:
            # The library reads one folder; the migrations of one database come from two.
            for source in (_PLUMBING, _SERVICES_FOLDER / service / "migrations"):
                for path in sorted(source.glob("*.sql")):
                    (Path(folder) / path.name).write_bytes(path.read_bytes())
            try:
                await migrate.apply(connection, Path(folder), schema_name="public")
            except Exception as error:
                cause = error.__cause__ or error
                message = f"{role}: {error}: {cause}"
                raise MigrationError(message) from error
        return await _count_applied(connection) - before
    finally:
        await connection.close()


async def _count_applied(connection: "asyncpg.Connection[Any]") -> int:
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration')") is None:
        return 0
    return int(await connection.fetchval("SELECT count(*) FROM _pogo_migration"))


def _with_database(dsn: str, database: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit((parts.scheme, parts.netloc, f"/{quote(database, safe='')}", parts.query, ""))
