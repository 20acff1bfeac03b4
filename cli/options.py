"""Options that many commands share, so that they are named and explained once."""

from __future__ import annotations

from typing import Annotated

import typer

_CONNECTION = "Where and how"

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
Region = Annotated[str, typer.Option("--region", envvar="IMAGE_COMMONS_REGION", help="The region meant.")]
Account = Annotated[str, typer.Option("--account", "-a", envvar="IMAGE_COMMONS_ACCOUNT", help="The account that acts.")]
Operator = Annotated[str, typer.Option("--operator", envvar="IMAGE_COMMONS_OPERATOR", help="The operator who acts.")]
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

DEFAULT_REGION = "eu-central-1"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_CHECK_TIMEOUT_S = 600.0
