"""``publish`` and ``unpublish``: the vendor's two commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import (
    DEFAULT_CHECK_TIMEOUT_S,
    DEFAULT_REGION,
    DEFAULT_TIMEOUT_S,
    Account,
    ClientToken,
    DryRun,
    Json,
    Kafka,
    Region,
    Timeout,
)

if TYPE_CHECKING:
    from cli.client import Progress
    from shared.contracts.envelope import Event

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.", show_default=False)]


def publish(
    image: Image,
    account: Account,
    name: Annotated[
        str | None, typer.Option("--name", help="Name others see; the image's own by default.", show_default=False)
    ] = None,
    description: Annotated[
        str | None,
        typer.Option("--description", "-d", help="One line others see; the image's own by default.", show_default=False),
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Line of images it belongs to.", show_default=False)] = None,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_CHECK_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Publish an image to every account of its region.

    The image is checked first; the check's progress is shown meanwhile. A refusal (exit code 5) names every broken rule at once,
    what it met and what to do.

    Examples:
      image-commons publish img-1 -a acme --name debian12_kernel6.1_x86_64_20260101 -d "Debian 12, small"

      image-commons publish img-1 -a acme --dry-run
    """
    from cli.answers import ask
    from cli.building import by_account, made
    from shared.contracts.requests import PublishRequested

    wanted = {"image_id": image, "name": name, "description": description, "family": family}
    request = made(PublishRequested, by_account(account, region, client_token=client_token, dry_run=dry_run, **wanted))
    ask(request, key=image, kafka=kafka, timeout_s=timeout, as_json=as_json, progress=_progress(as_json=as_json))


def unpublish(
    image: Image,
    account: Account,
    region: Region = DEFAULT_REGION,
    dry_run: DryRun = False,
    client_token: ClientToken = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    kafka: Kafka = None,
    as_json: Json = False,
) -> None:
    """Take a community image back: other accounts no longer see it, their instances keep running.

    An instance created from it as a community image cannot be re-initialised afterwards; replacing its OS is the way out. While
    the image is still being checked, this withdraws it.

    Example:
      image-commons unpublish img-1 -a acme
    """
    from cli.answers import ask
    from cli.building import by_account, made
    from shared.contracts.requests import UnpublishRequested

    request = made(UnpublishRequested, by_account(account, region, client_token=client_token, dry_run=dry_run, image_id=image))
    ask(request, key=image, kafka=kafka, timeout_s=timeout, as_json=as_json)


def _progress(*, as_json: bool) -> Progress:
    from cli.output import Output

    out = Output(as_json=as_json)

    def show(event: Event[Any]) -> None:
        line = progress_line(event)
        if line:
            out.note(line)

    return show


def progress_line(event: Event[Any]) -> str | None:
    """Return what an event on the way to the answer means to a person; None for what need not be told."""
    match event.type.split(".")[-3:-1]:
        case ["publication", "checking"]:
            return "the rules are met; the image is being checked"
        case ["check", "progressed"]:
            data = event.data
            return f"checking: {data.phase} {data.done}/{data.total}"
        case ["check", "completed"]:
            return "the check has ended"
        case _:
            return None
