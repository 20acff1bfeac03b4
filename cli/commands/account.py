"""``account``: the facts the account service states."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.options import DEFAULT_TIMEOUT_S, AccountId, Json, Kafka, NoWait, Sequence, Timeout


def command(
    account: AccountId,
    enterprise: Annotated[
        bool, typer.Option("--enterprise/--no-enterprise", help="Whether it is a verified enterprise.")
    ] = False,
    status: Annotated[Literal["active", "closed", "blocked"], typer.Option("--status", help="Its standing.")] = "active",
    display_name: Annotated[str | None, typer.Option("--display-name", help="Its name for people.", show_default=False)] = None,
    sequence: Sequence = None,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """State an account: status and whether it is a verified enterprise (only those can publish).

    Each statement is the whole truth: what is not given falls back to its default. Waits until publisher has it.

    Examples:
      image-commons account acme --enterprise --display-name "ACME Images"

      image-commons account user-7
    """
    from cli.building import made
    from cli.facts import send_fact
    from shared.contracts.facts import AccountStated

    data = {"account_id": account, "status": status, "enterprise_verified": enterprise, "display_name": display_name}
    fact = made(AccountStated, data)
    send_fact(fact, key=account, kafka=kafka, sequence=sequence, as_json=as_json, timeout_s=timeout, wait=not no_wait)
