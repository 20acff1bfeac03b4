"""``account``: the facts the account service states."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.options import Json, Kafka, Sequence


def command(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.", show_default=False)],
    enterprise: Annotated[
        bool, typer.Option("--enterprise/--no-enterprise", help="Whether it is a verified enterprise.")
    ] = False,
    status: Annotated[Literal["active", "closed", "blocked"], typer.Option("--status", help="Its standing.")] = "active",
    display_name: Annotated[str | None, typer.Option("--display-name", help="Its name for people.", show_default=False)] = None,
    sequence: Sequence = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """State an account: status and whether it is a verified enterprise (only those can publish).

    Each statement is the whole truth: what is not given falls back to its default.

    Examples:
      image-commons account acme --enterprise --display-name "ACME Images"

      image-commons account user-7
    """
    from cli.answers import send_fact
    from cli.building import made
    from shared.contracts.facts import AccountStated

    data = {"account_id": account, "status": status, "enterprise_verified": enterprise, "display_name": display_name}
    send_fact(made(AccountStated, data), key=account, kafka=kafka, sequence=sequence, as_json=as_json)
