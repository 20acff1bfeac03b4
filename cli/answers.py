"""Asking from a command: send, wait, show the answer, end with the right exit code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import CommandError, ExitCode
from cli.output import Output, plain
from cli.tables import Column, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel
    from rich.console import RenderableType

    from cli.client import Answer, Progress

_NOTES_SHOWN_MAX = 20
_NOT_THEIRS = frozenset({"Image.NotOwner", "InvalidInstanceId.Duplicate"})
"""Refusals whose event carries the state of something that is somebody else's: for readers of the topic, not for the asker."""
_COULD_BE_BETTER = frozenset({"ImageName.NotRecommended", "ImageDescription.PlainLine"})


def ask(
    request: BaseModel,
    *,
    key: str,
    kafka: str | None,
    timeout_s: float,
    as_json: bool,
    progress: Progress | None = None,
    explained: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> None:
    """Send `request`, show its answer; `explained` may add to the answer what helps a person.

    Raises:
        CommandError: Kafka is away, there was no answer in time, or Ctrl-C ended the waiting.
        typer.Exit: with code 5 if the answer is a refusal.
    """
    out = Output(as_json=as_json)
    answer = asyncio.run(_ask(request, key, kafka, timeout_s, progress))
    document = answer_document(answer)
    out.document(document, lambda: answer_view(explained(document) if explained and refused(document) else document))
    if refused(document):
        raise typer.Exit(ExitCode.REFUSED)


def answer_document(answer: Answer) -> dict[str, Any]:
    """Return an answer as one JSON document, without the state of what the asker may not see."""
    event = answer.event
    document = {
        "request_id": answer.request_id,
        "waited_s": round(answer.waited_s, 3),
        "type": event.type,
        "time": event.time.isoformat(),
        "sequence": event.sequence,
        **event.data.model_dump(mode="json", exclude_none=True),
    }
    codes = {str(problem.get("code")) for problem in problems_of(document)}
    if codes & _NOT_THEIRS or any(code.endswith(".NotFound") for code in codes):
        document.pop("state", None)
    return document


def problems_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the broken rules an answer names; empty for one that says done."""
    return list(document["change"].get("problems", ()))


def refused(document: dict[str, Any]) -> bool:
    """Tell whether an answer is a refusal, or a rehearsal of one."""
    return ".refused." in document["type"] or bool(problems_of(document))


def answer_view(document: dict[str, Any]) -> RenderableType:
    """Return an answer as a person reads it."""
    from rich.console import Group

    problems = problems_of(document)
    mark, style = ("✗", "bold red") if refused(document) else ("✓", "bold green")
    lines = [plain(f"{mark} {text_of(document)}", style)]
    if problems:
        columns = (Column("code", whole=True), "met", "what to do")
        lines.append(table(columns, [problem_row(problem) for problem in problems]))
        lines += [plain(f"  {line}", "dim") for problem in problems for line in evidence_lines(problem)][:_NOTES_SHOWN_MAX]
    elif (tags := published_tags(document)) is not None:
        lines += [plain(f"  {name}: {value}") for name, value in tags.items()]
    lines += [plain(f"  note: {warning_text(warning)}", "yellow") for warning in notes_of(document)[:_NOTES_SHOWN_MAX]]
    if checked := checked_as(document):
        lines.append(plain(f"  next: image-commons report {checked}"))
    return Group(*lines)


def notes_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the warnings that matter now: how a name could be better is no help to whoever got a refusal."""
    warnings = document["change"].get("warnings", ())
    return [warning for warning in warnings if not (refused(document) and warning.get("code") in _COULD_BE_BETTER)]


def published_tags(document: dict[str, Any]) -> dict[str, str] | None:
    """Return the tags that show what the check detected, of an image that was published just now."""
    return dict(document["state"]["tags"]) if document["type"].endswith(".image.published.v1") and document.get("state") else None


def checked_as(document: dict[str, Any]) -> str | None:
    """Return the id under which the check that passed or refused an image is found; None where no check decided."""
    change = document["change"]
    if published_tags(document) is not None:
        return str(change["publication_id"]) if change.get("publication_id") else None
    by_check = any(
        str(problem.get("code", "")).startswith("ImageCheck.") or problem.get("item") for problem in problems_of(document)
    )
    return (change.get("publication_id") or change.get("check_id")) if by_check else None


def text_of(document: dict[str, Any]) -> str:
    """Return the sentence an answer carries, else its type."""
    return str(document["change"].get("message") or document["type"])


def problem_row(problem: dict[str, Any]) -> tuple[str, str, str]:
    """Return code, what it met and advice of one broken rule."""
    names = ("item", "value") if problem.get("item") else ("field", "value")
    met = [str(problem[name]) for name in names if problem.get(name) not in (None, "")]
    return str(problem.get("code", "?")), ": ".join(met) or "-", str(problem.get("advice") or "-")


def evidence_lines(problem: Mapping[str, Any]) -> list[str]:
    """Return one line a piece of evidence: place and text."""
    lines = []
    for piece in problem.get("evidence") or ():
        place = ":".join(str(piece[name]) for name in ("path", "line") if piece.get(name) is not None)
        lines.append(f"{place}: {piece.get('text') or piece.get('sha256') or ''}".strip(": "))
    return lines


def warning_text(warning: Mapping[str, Any]) -> str:
    """Return one warning's text, with the name it suggests."""
    suggested = warning.get("suggested_name")
    return f"{warning['message']} (suggested name: {suggested})" if suggested else str(warning["message"])


async def _ask(request: BaseModel, key: str, kafka: str | None, timeout_s: float, progress: Progress | None) -> Answer:
    from cli.client import Client
    from cli.connection import endpoints

    async with Client(endpoints(kafka)) as client:
        try:
            return await client.ask(request, key=key, timeout_s=timeout_s, progress=progress)
        except asyncio.CancelledError:
            if client.asked_id is None:
                raise
            raise stopped_waiting("what was asked stays asked, and may still be done", f"request id {client.asked_id}") from None


def stopped_waiting(what_stays: str, where: str) -> CommandError:
    """Return what is said when Ctrl-C ends the waiting."""
    return CommandError(f"stopped waiting; {what_stays}", where=where, exit_code=ExitCode.INTERRUPTED)
