"""The command line that does what a request or a fact of the story asks, made from that very request."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from cli.commands.operating import DEFAULT_OPERATOR
from cli.options import DEFAULT_REGION
from shared.contracts.requests import (
    LaunchRequested,
    PermitRequested,
    PublishRequested,
    ReinitRequested,
    ReplaceOsRequested,
    Request,
    UnpublishRequested,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from shared.contracts.facts import AccountStated, ImageRegistered

_COMMANDS: Final[Mapping[type[BaseModel], tuple[str, str, Mapping[str, str]]]] = {
    PublishRequested: ("publish", "image_id", {"name": "--name", "description": "-d"}),
    UnpublishRequested: ("unpublish", "image_id", {}),
    PermitRequested: ("permit", "account_id", {"ticket": "--ticket"}),
    LaunchRequested: ("launch", "image_id", {"instance_id": "--instance", "seen_sequence": "--seen-sequence"}),
    ReinitRequested: ("reinit", "instance_id", {}),
    ReplaceOsRequested: ("replace-os", "instance_id", {"image_id": "--image"}),
}
"""Of each request: the command, the field that is its argument, and the options of the others."""


def request_line(request: Request) -> str:
    """Return the command line that sends `request`."""
    command, argument, options = _COMMANDS[type(request)]
    words = [command, str(getattr(request, argument))]
    if request.actor.kind == "account":
        words += ["-a", request.actor.id]
    elif request.actor.id != DEFAULT_OPERATOR:
        words += ["--operator", request.actor.id]
    for field, option in options.items():
        if (value := getattr(request, field)) is not None:
            words += [option, str(value)]
    return _line(words, request.region)


def account_line(fact: AccountStated) -> str:
    """Return the command line that states `fact`."""
    return _line(["account", fact.account_id, *(["--enterprise"] if fact.enterprise_verified else [])])


def image_line(fact: ImageRegistered, file: str, images_root: str | None) -> str:
    """Return the command line that states `fact` of the image in `file`, which the checker sees beneath `images_root`."""
    words = ["image", "register", fact.image_id, "--owner", fact.owner_account_id, "--file", file]
    words += [] if images_root is None else ["--images-root", images_root]
    return _line([*words, "--name", fact.name], fact.region)


def _line(words: list[str], region: str = DEFAULT_REGION) -> str:
    return shlex.join(["image-commons", *words, *([] if region == DEFAULT_REGION else ["--region", region])])
