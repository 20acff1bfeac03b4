"""``image``: the facts the service that makes custom images states."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.errors import CommandError, ExitCode
from cli.options import DEFAULT_REGION, Json, Kafka, Region, Sequence

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Register, change or delete a custom image, as the service that makes them would.")

Status = Literal["Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated"]
Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.", show_default=False)]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        exists=True,
        dir_okay=False,
        readable=True,
        help="The disk image, where the checker sees it.",
        show_default=False,
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="Its name.", show_default=False)]
Description = Annotated[str | None, typer.Option("--description", "-d", help="One line about it.", show_default=False)]
Family = Annotated[str | None, typer.Option("--family", help="Line of images it belongs to.", show_default=False)]
Location = Annotated[
    str | None,
    typer.Option(
        "--location", help="Its URI, where it is not a file of this machine; with --content-version.", show_default=False
    ),
]
ContentVersion = Annotated[
    str | None, typer.Option("--content-version", help="ETag of the content at --location.", show_default=False)
]
Encrypted = Annotated[
    bool | None, typer.Option("--encrypted/--not-encrypted", help="Whether it is declared encrypted.", show_default=False)
]


@app.command("register")
def register(
    image: Image,
    owner: Annotated[str, typer.Option("--owner", "-o", help="The account that owns it.", show_default=False)],
    file: File = None,
    name: Name = None,
    description: Description = None,
    family: Family = None,
    location: Location = None,
    content_version: ContentVersion = None,
    encrypted: Encrypted = None,
    status: Annotated[Status, typer.Option("--status", help="Its state.")] = "Available",
    shared_with: Annotated[
        list[str] | None, typer.Option("--shared-with", help="Account with a share from before.", show_default=False)
    ] = None,
    region: Region = DEFAULT_REGION,
    sequence: Sequence = None,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Register a custom image.

    With --file, location, size and content version are those of the file; the checker must be allowed to read it there
    (IMAGE_COMMONS_IMAGE_ROOTS of the checker).

    Example:
      image-commons image register img-1 --owner acme --file debian.qcow2 --name debian12
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
        **_content(file, location, content_version),
    }
    if "location" not in given:
        raise CommandError("an image needs --file, or --location with --content-version", exit_code=ExitCode.USAGE)
    _send(ImageRegistered, given, kafka=kafka, sequence=sequence, as_json=as_json)


@app.command("change")
def change(
    image: Image,
    file: File = None,
    name: Name = None,
    description: Description = None,
    family: Family = None,
    location: Location = None,
    content_version: ContentVersion = None,
    encrypted: Encrypted = None,
    status: Annotated[Status | None, typer.Option("--status", help="Its state.", show_default=False)] = None,
    sequence: Sequence = None,
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
        **_content(file, location, content_version),
    }
    given = {**_last_fact(image, kafka), **{field: value for field, value in wanted.items() if value is not None}}
    _send(ImageChanged, given, kafka=kafka, sequence=sequence, as_json=as_json)


@app.command("delete")
def delete(image: Image, sequence: Sequence = None, kafka: Kafka = None, as_json: Json = False) -> None:
    """Delete an image. Deleted is final: the id is never used again.

    Example:
      image-commons image delete img-1
    """
    from shared.contracts.facts import ImageDeleted

    _send(ImageDeleted, {**_last_fact(image, kafka), "status": "Deleted"}, kafka=kafka, sequence=sequence, as_json=as_json)


def _send(model: type[BaseModel], given: dict[str, Any], *, kafka: str | None, sequence: int | None, as_json: bool) -> None:
    from cli.answers import send_fact
    from cli.building import made

    send_fact(made(model, given), key=given["image_id"], kafka=kafka, sequence=sequence, as_json=as_json)


def _content(file: Path | None, location: str | None, content_version: str | None) -> dict[str, Any]:
    """Return where the content is and which version of it is meant.

    Raises:
        CommandError: with exit code 2 if both or half of it are given.
    """
    if (location is None) != (content_version is None) or (file is not None and location is not None):
        raise CommandError("give either --file, or --location together with --content-version", exit_code=ExitCode.USAGE)
    if file is not None:
        return file_content(file)
    return {} if location is None else {"location": location, "content_version": content_version}


def file_content(file: Path) -> dict[str, Any]:
    """Return location, content version and size of a local file, as the checker will compare them."""
    from shared.contracts.content_version import content_version_of

    path = file.resolve()
    found = path.stat()
    return {"location": path.as_uri(), "content_version": content_version_of(found), "size_bytes": found.st_size}


def _last_fact(image: str, kafka: str | None) -> dict[str, Any]:
    """Return the newest fact about an image.

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
        return await client.newest_fact("image-facts", image)
