"""``publish`` and ``unpublish``: the vendor's two commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError, ExitCode
from cli.options import (
    DEFAULT_CHECK_TIMEOUT_S,
    DEFAULT_REGION,
    DEFAULT_TIMEOUT_S,
    Account,
    ClientToken,
    DryRun,
    ImageId,
    Json,
    Kafka,
    Region,
    Timeout,
)

if TYPE_CHECKING:
    from shared.contracts.envelope import Event


def publish(
    image: ImageId,
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
    shown = _Progress(as_json=as_json)
    try:
        ask(
            request,
            key=image,
            kafka=kafka,
            timeout_s=timeout,
            as_json=as_json,
            progress=shown,
            explained=lambda document: with_items_advice(document, kafka),
        )
    except CommandError as error:
        if error.exit_code in {ExitCode.NO_ANSWER, ExitCode.INTERRUPTED} and shown.publication_id:
            raise _still_checked(error, account, shown.publication_id, timeout) from None
        raise


def unpublish(
    image: ImageId,
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


class _Progress:
    """Tells a person how far the check is, and remembers which publication it is for."""

    def __init__(self, *, as_json: bool) -> None:
        from cli.output import Output

        self._out = Output(as_json=as_json)
        self.publication_id: str | None = None

    def __call__(self, event: Event[Any]) -> None:
        """Take an event on the way to the answer."""
        if event.type.split(".")[-3:-1] == ["publication", "checking"]:
            self.publication_id = event.data.change.publication_id
        line = progress_line(event)
        if line:
            self._out.note(line)


def _still_checked(error: CommandError, account: str, publication_id: str, timeout_s: float) -> CommandError:
    told = (
        f"still being checked after {timeout_s:g} s"
        if error.exit_code == ExitCode.NO_ANSWER
        else "stopped waiting; still being checked"
    )
    return CommandError(
        told,
        where=error.where,
        advice=f"see: image-commons publications -a {account} {publication_id}",
        exit_code=error.exit_code,
    )


def with_items_advice(document: dict[str, Any], kafka: str | None) -> dict[str, Any]:
    """Return a refusal with each item's own advice, which the check's report has; as it is where no report can be had."""
    from cli.answers import problems_of
    from cli.connection import endpoints
    from cli.http import query, segment

    report_id = (((document.get("state") or {}).get("check")) or {}).get("report_id")
    if report_id is None or not any(problem.get("item") for problem in problems_of(document)):
        return document
    try:
        report = query(endpoints(kafka), "checker", f"/reports/{segment(report_id)}")
    except CommandError:
        return document
    advice = {item["name"]: item["advice"] for item in report["items"] if item.get("advice")}
    problems = [
        {**problem, "advice": advice.get(problem.get("item", ""), problem["advice"])} for problem in problems_of(document)
    ]
    return {**document, "change": {**document["change"], "problems": problems}}


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
