"""``share`` and ``unshare``: one image, one other account."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import (
    DEFAULT_REGION,
    DEFAULT_TIMEOUT_S,
    Account,
    ClientToken,
    DryRun,
    ImageId,
    Json,
    Kafka,
    Region,
    Timeout,
    identifier,
)

With = Annotated[
    str,
    typer.Option("--with", "-w", metavar="ACCOUNT", callback=identifier, help="The other account.", show_default=False),
]


def share(
    image: ImageId,
    other: With,
    account: Account,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Share a custom image with one account (50 at most). Refused while it is a community image.

    Example:
      image-commons share img-1 --with partner -a acme
    """
    from cli.answers import ask
    from cli.building import by_account, made
    from shared.contracts.requests import ShareRequested

    data = by_account(account, region, client_token=client_token, dry_run=dry_run, image_id=image, account_id=other)
    ask(made(ShareRequested, data), key=image, kafka=kafka, timeout_s=timeout, as_json=as_json)


def unshare(
    image: ImageId,
    other: With,
    account: Account,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Take a share back; always allowed, for a community image too.

    Example:
      image-commons unshare img-1 --with partner -a acme
    """
    from cli.answers import ask
    from cli.building import by_account, made
    from shared.contracts.requests import UnshareRequested

    data = by_account(account, region, client_token=client_token, dry_run=dry_run, image_id=image, account_id=other)
    ask(made(UnshareRequested, data), key=image, kafka=kafka, timeout_s=timeout, as_json=as_json)
