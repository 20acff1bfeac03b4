"""``queue``: the checks that wait, from the checker."""

from __future__ import annotations

from cli.options import Json


def command(as_json: Json = False) -> None:
    """Say how many checks wait for a worker, and for how long the oldest has.

    Example:
      image-commons queue
    """
    from cli.connection import endpoints
    from cli.http import query
    from cli.output import Output, plain

    document = query(endpoints(), "checker", "/queue")
    waiting, oldest_s = document["waiting"], document["oldest_age_s"]
    since = f"; the oldest for {oldest_s:.0f} s" if waiting else ""
    Output(as_json=as_json).document(document, lambda: plain(f"{waiting} checks wait{since}"))
