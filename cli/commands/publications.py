"""``publications``: the vendor's view of what became of each publication, from publisher."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import DEFAULT_REGION, Account, Json, Region


def command(
    account: Account,
    publication: Annotated[
        str | None, typer.Argument(metavar="[PUBLICATION]", help="Show this one, with its decision.", show_default=False)
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Only those of this image.", show_default=False)] = None,
    region: Region = DEFAULT_REGION,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List an account's publications, newest first, or show one with the decision about it.

    Examples:
      image-commons publications -a acme

      image-commons publications -a acme --image img-1 --json
    """
    from cli.connection import endpoints
    from cli.http import query, segment
    from cli.output import Output, fields, table

    out, found = Output(as_json=as_json), endpoints()
    if publication is not None:
        document = query(found, "publisher", f"/publications/{segment(publication)}", {"account_id": account, "region": region})
        out.document(document, lambda: fields(document))
        return
    document = query(
        found, "publisher", "/publications", {"account_id": account, "region": region, "image_id": image, "limit": limit}
    )
    columns = ("publication_id", "image_id", "state", "since")
    rows = [[row.get(column) for column in columns] for row in document["publications"]]
    out.document(document, lambda: table(columns, rows, title=f"Publications of {account} in {region}"))
