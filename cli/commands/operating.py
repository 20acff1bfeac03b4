"""``permit``, ``take-down``, ``take-down-lift``: what only operators may ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_REGION, DEFAULT_TIMEOUT_S, AccountId, ImageId, Json, Kafka, Operator, Region, Timeout

DEFAULT_OPERATOR = "operator"


def permit(
    account: AccountId,
    ticket: Annotated[str, typer.Option("--ticket", "-t", help="The ticket on which it was decided.", show_default=False)],
    operator: Operator = DEFAULT_OPERATOR,
    region: Region = DEFAULT_REGION,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Grant an account the permission to publish.

    Example:
      image-commons permit acme --ticket T-1001
    """
    from cli.answers import ask
    from cli.building import by_operator, made
    from shared.contracts.requests import PermitRequested

    request = made(PermitRequested, by_operator(operator, region, account_id=account, ticket=ticket))
    ask(request, key=account, kafka=kafka, timeout_s=timeout, as_json=as_json)


def take_down(
    image: ImageId,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; the vendor reads it.", show_default=False)],
    operator: Operator = DEFAULT_OPERATOR,
    region: Region = DEFAULT_REGION,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Take a community image down; it cannot be published again until that is lifted. Ends a check on its way, too.

    Example:
      image-commons take-down img-1 --reason "ships a known default password"
    """
    from cli.answers import ask
    from cli.building import by_operator, made
    from shared.contracts.requests import TakeDownRequested

    request = made(TakeDownRequested, by_operator(operator, region, image_id=image, reason=reason))
    ask(request, key=image, kafka=kafka, timeout_s=timeout, as_json=as_json)


def take_down_lift(
    image: ImageId,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why; the vendor reads it.", show_default=False)] = None,
    operator: Operator = DEFAULT_OPERATOR,
    region: Region = DEFAULT_REGION,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Allow a taken-down image to be published again. It does not become visible by this.

    Example:
      image-commons take-down-lift img-1
    """
    from cli.answers import ask
    from cli.building import by_operator, made
    from shared.contracts.requests import TakeDownLiftRequested

    request = made(TakeDownLiftRequested, by_operator(operator, region, image_id=image, reason=reason))
    ask(request, key=image, kafka=kafka, timeout_s=timeout, as_json=as_json)
