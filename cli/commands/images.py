"""``images``: what an account sees, from the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.options import DEFAULT_REGION, Account, Json, Region

TAG_PREFIX = "acs:ecs:image:"


def command(
    account: Account,
    image: Annotated[str | None, typer.Argument(metavar="[IMAGE]", help="Show this one.", show_default=False)] = None,
    region: Region = DEFAULT_REGION,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the images an account sees in a region (its own, shared with it, community images), or show one.

    Examples:
      image-commons images -a user-7

      image-commons images -a user-7 img-1 --json
    """
    from cli.connection import endpoints
    from cli.http import query, segment
    from cli.output import Output, fields, table

    out, found = Output(as_json=as_json), endpoints()
    asker = {"account_id": account, "region": region}
    if image is not None:
        document = query(found, "catalog", f"/images/{segment(image)}", asker)
        out.document(document, lambda: fields(document))
        return
    document = query(found, "catalog", "/images", {**asker, "limit": limit})
    rows = [_row(item) for item in document["images"]]
    columns = ("image", "name", "publisher", "os", "kernel", "architecture")
    out.document(document, lambda: table(columns, rows, title=f"Images {account} sees in {region}"))


def _row(image: dict[str, Any]) -> tuple[object, ...]:
    tags = image.get("tags") or {}
    shown = [tags.get(TAG_PREFIX + name) for name in ("osVersion", "kernelVersion", "architecture")]
    return image["image_id"], image["name"], image["owner_account_id"], *shown
