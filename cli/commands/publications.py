"""``publications``: the vendor's view of what became of each publication, from publisher."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_LIMIT, DEFAULT_REGION, Account, All, Cursor, Json, Limit, Region, identifier


def command(
    account: Account,
    publication: Annotated[
        str | None, typer.Argument(metavar="[PUBLICATION]", callback=identifier, help="Show this one, with its history.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", callback=identifier, help="Only those of this image.")] = None,
    region: Region = DEFAULT_REGION,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """List an account's publications, newest first, or show one with the decision about it.

    Examples:
      image-commons publications -a acme

      image-commons publications -a acme --image img-1 --json
    """
    from cli.connection import endpoints
    from cli.http import query, segment
    from cli.output import Output
    from cli.pages import pages, with_rest
    from cli.tables import SINCE, Column, fields, table

    out, found = Output(as_json=as_json), endpoints()
    if publication is not None:
        document = query(found, "publisher", f"/publications/{segment(publication)}", {"account_id": account, "region": region})
        out.document(document, lambda: fields(document))
        return
    asked = {"account_id": account, "region": region, "image_id": image, "limit": limit}
    document = pages(found, "publisher", "/publications", asked, cursor=cursor, every=every)
    columns = (
        Column("publication", whole=True),
        Column("image", whole=True),
        "state",
        Column("name", optional=True),
        SINCE,
        Column("reason", optional=True),
    )
    names = ("publication_id", "image_id", "state", "name", "since", "reason")
    rows = [[row.get(name) for name in names] for row in document["publications"]]
    title = f"Publications of {account} in {region}"
    out.document(document, lambda: with_rest(table(columns, rows, title=title), document))
