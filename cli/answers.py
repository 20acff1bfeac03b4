"""Asking from a command: send, wait, show the answer, end with the right exit code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from cli.errors import ExitCode
from cli.output import Output, plain, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from rich.console import RenderableType

    from cli.client import Answer, Progress

_NOTES_SHOWN_MAX = 20


def ask(
    request: BaseModel, *, key: str, kafka: str | None, timeout_s: float, as_json: bool, progress: Progress | None = None
) -> None:
    """Send `request`, show its answer.

    Raises:
        CommandError: Kafka is away, or there was no answer in time.
        typer.Exit: with code 5 if the answer is a refusal.
    """
    out = Output(as_json=as_json)
    answer = asyncio.run(_ask(request, key, kafka, timeout_s, progress))
    document = answer_document(answer)
    out.document(document, lambda: answer_view(document))
    if refused(document):
        raise typer.Exit(ExitCode.REFUSED)


def send_fact(fact: BaseModel, *, key: str, kafka: str | None, sequence: int | None, as_json: bool) -> None:
    """Send `fact` as the upstream service would, show its id.

    Raises:
        CommandError: Kafka is away or did not take it.
    """
    fact_id = asyncio.run(_state(fact, key, kafka, sequence))
    document = {"id": fact_id, "key": key, "fact": fact.model_dump(mode="json", exclude_none=True)}
    Output(as_json=as_json).document(document, lambda: plain(f"✓ {key}: stated (id {fact_id})", "green"))


def answer_document(answer: Answer) -> dict[str, Any]:
    """Return an answer as one JSON document."""
    event = answer.event
    return {
        "request_id": answer.request_id,
        "waited_s": round(answer.waited_s, 3),
        "type": event.type,
        "time": event.time.isoformat(),
        "sequence": event.sequence,
        **event.data.model_dump(mode="json", exclude_none=True),
    }


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
        lines.append(table(("code", "met", "what to do"), [problem_row(problem) for problem in problems]))
        lines += [plain(f"  {line}", "dim") for problem in problems for line in evidence_lines(problem)][:_NOTES_SHOWN_MAX]
    lines += [
        plain(f"  note: {warning_text(warning)}", "yellow")
        for warning in document["change"].get("warnings", ())[:_NOTES_SHOWN_MAX]
    ]
    return Group(*lines)


def text_of(document: dict[str, Any]) -> str:
    """Return the sentence an answer carries, else its type."""
    return str(document["change"].get("message") or document["type"])


def problem_row(problem: dict[str, Any]) -> tuple[str, str, str]:
    """Return code, what it met and advice of one broken rule."""
    met = [str(problem[name]) for name in ("item", "field", "value") if problem.get(name) not in (None, "")]
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
        return await client.ask(request, key=key, timeout_s=timeout_s, progress=progress)


async def _state(fact: BaseModel, key: str, kafka: str | None, sequence: int | None) -> str:
    from cli.client import Client
    from cli.connection import endpoints

    async with Client(endpoints(kafka)) as client:
        return await client.state(fact, key=key, sequence=sequence)
