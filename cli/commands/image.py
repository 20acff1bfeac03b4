"""``image``: the facts the service that makes custom images states."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.errors import CommandError, ExitCode
from cli.options import (
    DEFAULT_REGION,
    DEFAULT_TIMEOUT_S,
    ImageId,
    Json,
    Kafka,
    NoWait,
    Region,
    Sequence,
    Timeout,
    identifier,
    identifiers,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shared.contracts.envelope import Event

app = typer.Typer(help="Register, change or delete a custom image, as the service that makes them would.")

Status = Literal["Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated"]


def _location(given: str | None) -> str | None:
    """Return a location as it was given; raises `typer.BadParameter` for what is no URI."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(given or "file:///")
    except ValueError as error:
        raise typer.BadParameter(f"{given!r} is no URI: {error}") from error
    absolute = parts.path.startswith("/") and len(parts.path) > 1 if parts.scheme == "file" else bool(parts.netloc or parts.path)
    if given is not None and not (parts.scheme and absolute):
        raise typer.BadParameter(f"{given!r} is no URI, as file:///images/debian.qcow2 is one")
    return given


def _regular_file(given: Path | None) -> Path | None:
    """Return the path of a regular file; raises `typer.BadParameter` for anything else: a device has no bytes to publish."""
    if given is not None and not given.is_file():
        raise typer.BadParameter(f"{given} is no regular file: name the file of a disk image")
    return given


File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        exists=True,
        dir_okay=False,
        readable=True,
        callback=_regular_file,
        help="The disk image; the checker sees it there, unless --location or --images-root says where.",
        show_default=False,
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="Its name.", show_default=False)]
Description = Annotated[str | None, typer.Option("--description", "-d", help="One line about it.", show_default=False)]
Family = Annotated[str | None, typer.Option("--family", help="Line of images it belongs to.", show_default=False)]
Location = Annotated[
    str | None,
    typer.Option(
        "--location",
        callback=_location,
        help="Its URI, as the checker reads it; with --file or --content-version.",
        show_default=False,
    ),
]
ImagesRoot = Annotated[
    str | None,
    typer.Option(
        "--images-root",
        metavar="FOLDER",
        help="With --file: the folder in which the checker sees it, under the same name (/images with Docker Compose).",
        show_default=False,
    ),
]
ContentVersion = Annotated[
    str | None, typer.Option("--content-version", help="ETag of the content at --location; that of --file by default.")
]
Encrypted = Annotated[
    bool | None, typer.Option("--encrypted/--not-encrypted", help="Whether it is declared encrypted.", show_default=False)
]


@app.command("register")
def register(
    image: ImageId,
    owner: Annotated[str, typer.Option("--owner", "-o", callback=identifier, help="The account that owns it.")],
    file: File = None,
    name: Name = None,
    description: Description = None,
    family: Family = None,
    location: Location = None,
    images_root: ImagesRoot = None,
    content_version: ContentVersion = None,
    encrypted: Encrypted = None,
    status: Annotated[Status, typer.Option("--status", help="Its state.")] = "Available",
    shared_with: Annotated[
        list[str] | None, typer.Option("--shared-with", callback=identifiers, help="Account with a share from before.")
    ] = None,
    region: Region = DEFAULT_REGION,
    sequence: Sequence = None,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Register a custom image, and wait until publisher has it.

    With --file, location, size and content version are those of the file; the checker must be allowed to read it there
    (`run checker --images`). Where the checker sees it elsewhere, --images-root or --location says where.

    Examples:
      image-commons image register img-1 --owner acme --file debian.qcow2 --name debian12

      image-commons image register img-1 --owner acme --file images/debian.qcow2 --images-root /images
    """
    from shared.contracts.facts import ImageRegistered

    given = {
        "image_id": image,
        "region": region,
        "owner_account_id": owner,
        "name": name or image,
        "description": description,
        "family": family,
        "status": status,
        "encrypted": bool(encrypted),
        "created_at": datetime.now(UTC).isoformat(),
        "shared_with": shared_with or None,
        **_content(file, location, content_version, images_root),
    }
    if "location" not in given:
        raise CommandError("an image needs --file, or --location with --content-version", exit_code=ExitCode.USAGE)
    _send(ImageRegistered, given, kafka=kafka, sequence=sequence, as_json=as_json, timeout_s=timeout, wait=not no_wait)


@app.command("change")
def change(
    image: ImageId,
    file: File = None,
    name: Name = None,
    description: Description = None,
    family: Family = None,
    location: Location = None,
    images_root: ImagesRoot = None,
    content_version: ContentVersion = None,
    encrypted: Encrypted = None,
    status: Annotated[Status | None, typer.Option("--status", help="Its state.", show_default=False)] = None,
    sequence: Sequence = None,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Change an image: what is not given stays as the last fact about it says, which is read from the topic.

    Example:
      image-commons image change img-1 --status Deprecated
    """
    from shared.contracts.facts import ImageChanged

    wanted = {
        "name": name,
        "description": description,
        "family": family,
        "encrypted": encrypted,
        "status": status,
        **_content(file, location, content_version, images_root),
    }
    given = {**_last_fact(image, kafka), **{field: value for field, value in wanted.items() if value is not None}}
    _send(ImageChanged, given, kafka=kafka, sequence=sequence, as_json=as_json, timeout_s=timeout, wait=not no_wait)


@app.command("delete")
def delete(
    image: ImageId,
    sequence: Sequence = None,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Delete an image. Deleted is final: the id is never used again.

    Example:
      image-commons image delete img-1
    """
    from shared.contracts.facts import ImageDeleted

    given = {**_last_fact(image, kafka), "status": "Deleted"}
    _send(ImageDeleted, given, kafka=kafka, sequence=sequence, as_json=as_json, timeout_s=timeout, wait=not no_wait)


def _send(model: type[BaseModel], given: dict[str, Any], **how: Any) -> None:
    from cli.building import made
    from cli.facts import send_fact

    send_fact(made(model, given), key=given["image_id"], **how)


def _content(file: Path | None, location: str | None, version: str | None, images_root: str | None) -> dict[str, Any]:
    """Return where the content is and which version of it is meant; what is given beside a file overrules it.

    Raises:
        CommandError: with exit code 2 if half of it is given, or two places.
    """
    if images_root is not None and (file is None or location is not None):
        raise CommandError("--images-root goes with --file, and without --location", exit_code=ExitCode.USAGE)
    if file is None:
        if (location is None) != (version is None):
            raise CommandError("without --file, --location and --content-version go together", exit_code=ExitCode.USAGE)
        return {} if location is None else {"location": location, "content_version": version}
    stated = {"location": location if images_root is None else location_beneath(images_root, file), "content_version": version}
    return {**file_content(file), **{name: value for name, value in stated.items() if value is not None}}


def location_beneath(images_root: str, file: Path) -> str:
    """Return the URI of `file` where it is seen in the folder `images_root` under its own name."""
    from urllib.parse import quote

    return f"file:///{quote(images_root.strip('/'))}/{quote(file.name)}"


def file_content(file: Path) -> dict[str, Any]:
    """Return location, content version and size of a local file, as the checker will compare them."""
    from shared.contracts.content_version import content_version_of

    path = file.resolve()
    found = path.stat()
    return {"location": path.as_uri(), "content_version": content_version_of(found), "size_bytes": found.st_size}


def _last_fact(image: str, kafka: str | None) -> dict[str, Any]:
    """Return the newest fact about an image that publisher takes.

    Raises:
        CommandError: there is none.
    """
    fact = asyncio.run(_newest(image, kafka))
    if fact is None:
        raise CommandError(
            "no fact about this image",
            where=image,
            advice="register it first: image-commons image register",
            exit_code=ExitCode.REFUSED,
        )
    data: dict[str, Any] = fact.model_dump(mode="json", exclude_none=True)
    data.pop("shared_with", None)  # allowed at first registration only
    return data


async def _newest(image: str, kafka: str | None) -> BaseModel | None:
    from cli.client import Client
    from cli.connection import endpoints

    async with Client(endpoints(kafka)) as client:
        held = await client.newest("image-events", image)
        state = None if held is None else held.data.state

        def believed(event: Event[Any]) -> bool:
            """Whether publisher takes this fact: owner and region never change."""
            fact = event.data
            return state is None or (fact.owner_account_id, fact.region) == (state.owner_account_id, state.region)

        newest = await client.newest("image-facts", image, believed)
    return None if newest is None else newest.data
