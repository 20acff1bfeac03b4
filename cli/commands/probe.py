"""``probe``: a health check that is a real request, without another program in the container image."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import typer

from cli.errors import CommandError


def command(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="For example http://127.0.0.1:8081/health/ready.", show_default=False)
    ],
) -> None:
    """Ask a health address; exit code 0 if it answers 200, else 1 with what it said.

    Example:
      image-commons probe http://127.0.0.1:8081/health/ready
    """
    from cli.http import probe

    status, text = probe(url)
    if status != HTTPStatus.OK:
        raise CommandError("not ready", where=url, why=text.strip() or f"HTTP {status}")
