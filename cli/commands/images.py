"""``images``: what an account sees, from the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.options import DEFAULT_LIMIT, DEFAULT_REGION, Account, All, Cursor, Json, Limit, Region, identifier

TAG_PREFIX = "acs:ecs:image:"


def command(
    account: Account,
    image: Annotated[
        str | None, typer.Argument(metavar="[IMAGE]", callback=identifier, help="Show this one.", show_default=False)
    ] = None,
    region: Region = DEFAULT_REGION,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """List the images an account sees in a region (its own, shared with it, community images), or show one.

    Examples:
      image-commons images -a user-7

      image-commons images -a user-7 img-1 --json
    """
    from cli.connection import endpoints
    from cli.http import query, segment
    from cli.output import Output
    from cli.pages import pages, with_rest
    from cli.tables import Column, fields, table

    out, found = Output(as_json=as_json), endpoints()
    asker = {"account_id": account, "region": region}
    if image is not None:
        document = query(found, "catalog", f"/images/{segment(image)}", asker)
        out.document(document, lambda: fields(document))
        return
    document = pages(found, "catalog", "/images", {**asker, "limit": limit}, cursor=cursor, every=every)
    rows = [_row(item) for item in document["images"]]
    columns = (
        Column("image", whole=True),
        "name",
        Column("owner", whole=True),
        "seen as",
        "status",
        Column("os", optional=True),
        Column("kernel", optional=True),
        Column("architecture", optional=True),
    )
    title = f"Images {account} sees in {region}"
    out.document(document, lambda: with_rest(table(columns, rows, title=title), document))


def _row(image: dict[str, Any]) -> tuple[object, ...]:
    tags = image.get("tags") or {}
    shown = [tags.get(TAG_PREFIX + name) for name in ("osVersion", "kernelVersion", "architecture")]
    return image["image_id"], image["name"], image["owner_account_id"], image.get("visibility"), image.get("status"), *shown
