"""``launch``, ``reinit``, ``replace-os``, ``release`` and ``instances``: the image user's side."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from cli.options import (
    DEFAULT_LIMIT,
    DEFAULT_REGION,
    DEFAULT_TIMEOUT_S,
    Account,
    All,
    ClientToken,
    Cursor,
    DryRun,
    ImageId,
    InstanceId,
    Json,
    Kafka,
    Limit,
    Region,
    Timeout,
    identifier,
)


def launch(
    image: ImageId,
    account: Account,
    instance: Annotated[
        str | None,
        typer.Option(
            "--instance", "-i", callback=identifier, help="Id of the new instance; a fresh one by default.", show_default=False
        ),
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option("--type", help="Instance type, kept in the books.", show_default=False)
    ] = None,
    seen_sequence: Annotated[
        int | None,
        typer.Option(
            "--seen-sequence", min=1, help="Wait until the launcher knows the image as new as that.", show_default=False
        ),
    ] = None,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Create an instance from an image the account sees: its own, one shared with it, or a community image.

    Examples:
      image-commons launch img-1 -a user-7

      image-commons launch img-1 -a user-7 --instance i-42 --json
    """
    from uuid_utils import uuid7

    from cli.answers import ask
    from cli.building import by_account, made
    from shared.contracts.requests import LaunchRequested

    instance_id = instance or f"i-{uuid7()}"
    wanted = {
        "instance_id": instance_id,
        "account_id": account,
        "image_id": image,
        "instance_type": instance_type,
        "seen_sequence": seen_sequence,
    }
    request = made(LaunchRequested, by_account(account, region, client_token=client_token, dry_run=dry_run, **wanted))
    ask(request, key=instance_id, kafka=kafka, timeout_s=timeout, as_json=as_json)


def reinit(
    instance: InstanceId,
    account: Account,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Re-initialise an instance's system disk from the image it has.

    Refused (OperationDenied.ImageUnpublished) once a community image was unpublished, unless the account owns it or it is shared
    with the account; the refusal names the way out.

    Example:
      image-commons reinit i-42 -a user-7
    """
    from cli.answers import ask
    from cli.building import made
    from shared.contracts.requests import ReinitRequested

    request = made(ReinitRequested, _about(instance, account, region, client_token=client_token, dry_run=dry_run))
    ask(request, key=instance, kafka=kafka, timeout_s=timeout, as_json=as_json)


def replace_os(
    instance: InstanceId,
    account: Account,
    image: Annotated[str, typer.Option("--image", callback=identifier, help="The image it gets; one the account sees.")],
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Give an instance's system disk another image.

    Example:
      image-commons replace-os i-42 -a user-7 --image img-2
    """
    from cli.answers import ask
    from cli.building import made
    from shared.contracts.requests import ReplaceOsRequested

    data = _about(instance, account, region, client_token=client_token, dry_run=dry_run, image_id=image)
    ask(made(ReplaceOsRequested, data), key=instance, kafka=kafka, timeout_s=timeout, as_json=as_json)


def release(
    instance: InstanceId,
    account: Account,
    reason: Annotated[
        Literal["creation_failed"] | None,
        typer.Option("--reason", help="From the compute service: it could not create it.", show_default=False),
    ] = None,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Release an instance.

    Example:
      image-commons release i-42 -a user-7
    """
    from cli.answers import ask
    from cli.building import made
    from shared.contracts.requests import ReleaseRequested

    data = _about(instance, account, region, client_token=client_token, dry_run=dry_run, reason=reason)
    if reason is not None:
        # Launcher takes this from a service alone: an account could free itself of a charge by it.
        data["actor"] = {"kind": "service", "id": "compute"}
    ask(made(ReleaseRequested, data), key=instance, kafka=kafka, timeout_s=timeout, as_json=as_json)


def instances(
    account: Account,
    instance: Annotated[
        str | None, typer.Argument(metavar="[INSTANCE]", callback=identifier, help="Show this one.", show_default=False)
    ] = None,
    region: Region = DEFAULT_REGION,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """List an account's instances, or show one: which image its system disk came from, and by what right.

    Example:
      image-commons instances -a user-7
    """
    from cli.connection import endpoints
    from cli.http import query, segment
    from cli.output import Output
    from cli.pages import pages, with_rest
    from cli.tables import SINCE, Column, fields, table

    out, found = Output(as_json=as_json), endpoints()
    if instance is not None:
        document = query(found, "launcher", f"/instances/{segment(instance)}", {"account_id": account, "region": region})
        out.document(document, lambda: fields(document))
        return
    asked = {"account_id": account, "region": region, "limit": limit}
    document = pages(found, "launcher", "/instances", asked, cursor=cursor, every=every)
    rows = [
        (row["instance_id"], row["state"], row["system_disk"]["image_id"], row["system_disk"]["basis"], row.get("launched_at"))
        for row in document["instances"]
    ]
    columns = (Column("instance", whole=True), "state", Column("image", whole=True), "basis", SINCE)
    title = f"Instances of {account} in {region}"
    out.document(document, lambda: with_rest(table(columns, rows, title=title), document))


def _about(instance: str, account: str, region: str, **data: Any) -> dict[str, Any]:
    from cli.building import by_account

    return by_account(account, region, instance_id=instance, account_id=account, **data)
