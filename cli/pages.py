"""Lists that come in pages: one of them, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.http import query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from cli.connection import Endpoints


def pages(
    endpoints: Endpoints, service: str, path: str, parameters: Mapping[str, object], *, cursor: str | None, every: bool
) -> dict[str, Any]:
    """Return a page of the list at `path`, whose one list of things has the name of its last segment; with `every`, all pages.

    Raises:
        CommandError: as of `query`.
    """
    name = path.rpartition("/")[2]
    document: dict[str, Any] = query(endpoints, service, path, {**parameters, "cursor": cursor})
    while every and document.get("next_cursor"):
        following = query(endpoints, service, path, {**parameters, "cursor": document["next_cursor"]})
        document = {**following, name: [*document[name], *following[name]]}
    return document


def with_rest(drawn: RenderableType, document: Mapping[str, Any]) -> RenderableType:
    """Return a page as drawn, with a line beneath it where there is more."""
    from rich.console import Group

    from cli.output import plain, whole

    cursor = document.get("next_cursor")
    return drawn if not cursor else Group(drawn, plain("more exist: --all, or with --cursor", "dim"), whole(cursor))
