"""Options that many commands share, so that they are named and explained once."""

from __future__ import annotations

from typing import Annotated

import typer

_CONNECTION = "Where and how"
ID_RULE = "an id is 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
REGION_RULE = "a region is 1 to 32 lower-case letters, digits or '-'"


def identifier(given: str | None) -> str | None:
    """Return an id as it was given; raises `typer.BadParameter` for what is none."""
    from shared.contracts.base import is_identifier

    if given is not None and not is_identifier(given):
        raise typer.BadParameter(f"{given!r}: {ID_RULE}")
    return given


def identifiers(given: list[str] | None) -> list[str] | None:
    """Return ids as they were given; raises `typer.BadParameter` at the first that is none."""
    for each in given or ():
        identifier(each)
    return given


def region_name(given: str) -> str:
    """Return a region as it was given; raises `typer.BadParameter` for what is none."""
    import re

    from shared.contracts.base import REGION_PATTERN

    if re.fullmatch(REGION_PATTERN.rstrip("$"), given) is None:
        raise typer.BadParameter(f"{given!r}: {REGION_RULE}")
    return given


ImageId = Annotated[str, typer.Argument(metavar="IMAGE", callback=identifier, help="The image's id.", show_default=False)]
AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", callback=identifier, help="The account's id.", show_default=False)]
InstanceId = Annotated[
    str, typer.Argument(metavar="INSTANCE", callback=identifier, help="The instance's id.", show_default=False)
]

Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        rich_help_panel=_CONNECTION,
        help="Kafka's address. Otherwise KAFKA_BOOTSTRAP_SERVERS, else a running local stack.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=_CONNECTION, help="JSON even on a terminal.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.1, max=86_400, metavar="SECONDS", rich_help_panel=_CONNECTION, help="How long to wait for the answer."
    ),
]
Region = Annotated[str, typer.Option("--region", envvar="IMAGE_COMMONS_REGION", callback=region_name, help="The region meant.")]
Account = Annotated[
    str, typer.Option("--account", "-a", envvar="IMAGE_COMMONS_ACCOUNT", callback=identifier, help="The account that acts.")
]
Operator = Annotated[
    str, typer.Option("--operator", envvar="IMAGE_COMMONS_OPERATOR", callback=identifier, help="The operator who acts.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
ClientToken = Annotated[
    str | None,
    typer.Option("--client-token", help="Makes a repeat within 24 h share the first one's outcome.", show_default=False),
]
Sequence = Annotated[
    int | None,
    typer.Option(
        "--sequence", min=1, help="The row version of this fact; microseconds of Unix time by default.", show_default=False
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", rich_help_panel=_CONNECTION, help="Send it; do not wait for what publisher makes of it.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many a page, newest first.")]
Cursor = Annotated[
    str | None, typer.Option("--cursor", help="Go on where an earlier page ended (its next_cursor).", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="Every page, one after the other.")]

DEFAULT_REGION = "eu-central-1"
DEFAULT_LIMIT = 50
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CHECK_TIMEOUT_S = 600.0
