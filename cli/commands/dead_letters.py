"""``image-commons dead-letters``: what the services could not handle, read from their own tables, shown bounded and escaped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from cli.errors import CommandError, ExitCode
from cli.options import Json
from cli.processes import SERVICES

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="Read the records no service could handle.")

ServiceOrAll = Literal["publisher", "checker", "catalog", "launcher", "all"]
LIMIT_MAX = 1000
EXCERPT_BYTES = 4096
VALUE_BYTES_MAX = 1024 * 1024

_LIST = """
    SELECT id::text, topic, partition, "offset", encode(substring(key FOR 256), 'escape') AS key, type, reason_code,
           left(reason_text, 300) AS reason_text, consumer, value_size_bytes, created_at
    FROM dead_letters
    WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR reason_code = $2)
    ORDER BY created_at DESC, id DESC
    LIMIT $3
"""
_SHOW = """
    SELECT id::text, topic, partition, "offset", encode(substring(key FOR 256), 'escape') AS key, source, event_id, type,
           sequence, reason_code, reason_text, consumer, left(headers::text, 8192) AS headers, substring(value FOR $2) AS value,
           value_size_bytes, value_sha256, recorded_at, created_at
    FROM dead_letters
    WHERE id = $1
"""


@app.command("list")
def list_(
    service: Annotated[ServiceOrAll, typer.Option("--service", "-s", help="Whose.")] = "all",
    topic: Annotated[
        str | None, typer.Option("--topic", help="Only those that came from this topic.", show_default=False)
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only those with this reason code.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="At most so many a service, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first.

    Examples:
      image-commons dead-letters list

      image-commons dead-letters list --service publisher --topic image-facts --json
    """
    from cli.output import Output
    from cli.tables import Column, table

    out = Output(as_json=as_json)
    found: list[dict[str, Any]] = []
    for name in SERVICES if service == "all" else (service,):
        found += [{"service": name, **row} for row in asyncio.run(_fetch(name, _LIST, topic, reason, limit))]
    columns = (
        Column("id", whole=True),
        Column("service", whole=True),
        Column("topic", optional=True),
        Column("place", optional=True),
        Column("key"),
        Column("reason", whole=True),
        Column("created (UTC)", whole=True, optional=True),
        Column("why", optional=True),
    )
    rows = [
        (row["id"], row["service"], row["topic"], f"{row['partition']}/{row['offset']}", row["key"], row["reason_code"],
         row["created_at"], row["reason_text"])
        for row in found
    ]  # fmt: skip
    out.document({"dead_letters": found}, lambda: table(columns, rows, title="Dead letters"))


@app.command("show")
def show(
    letter: Annotated[UUID, typer.Argument(metavar="ID", help="The id that `list` shows.", show_default=False)],
    value_bytes: Annotated[
        int, typer.Option("--bytes", min=0, max=VALUE_BYTES_MAX, help="How much of the value to show.")
    ] = EXCERPT_BYTES,
    as_json: Json = False,
) -> None:
    """Show one dead letter: where it came from, why it is dead, its headers and the beginning of its value.

    What is not printable is escaped; the whole value stays in the service's table.

    Example:
      image-commons dead-letters show 0192f3c1-0000-7000-8000-000000000000
    """
    from cli.output import Output
    from cli.tables import fields

    for name in SERVICES:
        for row in asyncio.run(_fetch(name, _SHOW, str(letter), value_bytes)):
            document = {"service": name, **row, "value": _shown_bytes(row["value"])}
            Output(as_json=as_json).document(document, lambda document=document: fields(document))  # type: ignore[misc]
            return
    raise CommandError(
        "no such dead letter",
        where=str(letter),
        advice="`image-commons dead-letters list` shows the ids",
        exit_code=ExitCode.REFUSED,
    )


async def _fetch(service: str, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """Run one bounded SELECT on a service's database.

    Raises:
        CommandError: the database cannot be reached or has no such table.
    """
    import asyncpg

    from cli.connection import endpoints
    from shared.settings import CommonSettings

    found = endpoints()
    where = found.postgres_place
    known = {"kafka_bootstrap_servers": found.kafka, "postgres_dsn": found.postgres_dsn}
    settings = CommonSettings.model_validate(known)
    dsn = settings.service_dsn(service)
    try:
        connection = await asyncpg.connect(dsn, timeout=10, command_timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(
            f"the database of {service} does not answer",
            where=where,
            why=str(error) or type(error).__name__,
            advice="name PostgreSQL in POSTGRES_DSN, or start a stack: image-commons stack up",
        ) from error
    try:
        return [_json_row(row) for row in await connection.fetch(statement, *arguments)]
    except asyncpg.PostgresError as error:
        raise CommandError(
            f"the dead letters of {service} cannot be read",
            where=where,
            why=str(error),
            advice="run: image-commons migrate",
        ) from error
    finally:
        await connection.close()


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in dict(row).items()}


def _shown_bytes(value: bytes | None) -> str | None:
    """Return `value` as ASCII with everything else escaped; None for a record without a value."""
    return None if value is None else value.decode("utf-8", errors="backslashreplace").encode("unicode_escape").decode("ascii")
