"""Stating a fact, and hearing what publisher made of it: the events it emits afterwards carry the whole state."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from cli.answers import stopped_waiting
from cli.connection import endpoints
from cli.errors import CommandError, ExitCode
from cli.output import Output, plain
from shared.contracts.account_events import AccountKnown
from shared.contracts.facts import AccountStated, ImageDeleted, ImageFact
from shared.contracts.image_events import ImageDeprecated, ImageKnown, ImageRemoved, ImageState
from shared.contracts.registry import event_type_of

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType

    from cli.client import Client, Following
    from shared.contracts.account_events import AccountState
    from shared.contracts.envelope import Event

EXPLAIN_AFTER_S = 2.0
"""How long nothing is heard before it is looked whether the fact contradicts what is held: publisher says nothing then."""
_TELLS = (ImageKnown, ImageDeprecated, ImageRemoved, AccountKnown)
_PUBLISHED_AS = frozenset({"name", "description", "family"})
"""Of a live publication the state shows these, not the image's own."""
_COMPARED = ("owner_account_id", "region", "encrypted", "size_bytes", "created_at", "derived_from", *sorted(_PUBLISHED_AS))


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a fact: `taken` with the event that carries it, or `ignored` and why; `said` is what else it caused."""

    fact_id: str
    outcome: Literal["sent", "taken", "ignored"]
    why: str | None = None
    event: Event[Any] | None = None
    said: tuple[str, ...] = ()


def send_fact(
    fact: BaseModel, *, key: str, kafka: str | None, sequence: int | None, as_json: bool, timeout_s: float, wait: bool
) -> None:
    """Send `fact` as the upstream service would, and show what publisher made of it.

    Raises:
        CommandError: Kafka is away or did not take it; with exit code 4, publisher was not heard in time.
        typer.Exit: with code 5 if publisher ignores it.
    """
    heard = asyncio.run(_stated(fact, key, kafka, sequence, timeout_s if wait else None))
    document: dict[str, Any] = {"id": heard.fact_id, "key": key, "outcome": heard.outcome}
    if heard.event is not None:
        document |= {"type": heard.event.type, "sequence": heard.event.sequence}
        document["state"] = heard.event.data.model_dump(mode="json", exclude_none=True)["state"]
    document |= {name: value for name, value in (("why", heard.why), ("caused", list(heard.said))) if value}
    document["fact"] = fact.model_dump(mode="json", exclude_none=True)
    Output(as_json=as_json).document(document, lambda: _view(fact, key, heard))
    if heard.outcome == "ignored":
        raise typer.Exit(ExitCode.REFUSED)


def contradiction(state: ImageState | AccountState | None, fact: BaseModel) -> str | None:
    """Return why publisher ignores `fact` when it holds `state` (contracts, One authority each); None if it does not."""
    if not isinstance(state, ImageState) or not isinstance(fact, ImageFact):
        return None
    if state.status == "Deleted":
        return f"{fact.image_id} is deleted, and deleted is final: use another id"
    held, stated = (state.owner_account_id, state.region), (fact.owner_account_id, fact.region)
    if held != stated:
        return f"{fact.image_id} is {held[0]}'s, in {held[1]}: owner and region never change"
    return None


def carries(event: Event[Any], fact: BaseModel) -> bool:
    """Tell whether `event` is publisher's word on an aggregate that is as `fact` states it."""
    if not isinstance(event.data, _TELLS) or event.correlation_id is not None or event.data.state is None:
        return False
    state = event.data.state
    if not isinstance(state, ImageState):
        return all(getattr(state, name) == value for name, value in fact)
    live = state.publication is not None and state.publication.state == "published"
    compared = [name for name in _COMPARED if not (live and name in _PUBLISHED_AS)]
    status = "Deleted" if isinstance(fact, ImageDeleted) else getattr(fact, "status", None)
    return state.status == status and all(getattr(state, name) == getattr(fact, name) for name in compared)


async def _stated(fact: BaseModel, key: str, kafka: str | None, sequence: int | None, timeout_s: float | None) -> Heard:
    from cli.client import Client

    async with Client(endpoints(kafka)) as client:
        if timeout_s is None:
            return Heard(await client.state(fact, key=key, sequence=sequence), "sent")
        topic = "account-events" if isinstance(fact, AccountStated) else "image-events"
        async with client.following({topic}, key) as events:
            fact_id = await client.state(fact, key=key, sequence=sequence)
            try:
                async with asyncio.timeout(timeout_s):
                    return await _hear(client, events, fact, key, fact_id)
            except asyncio.CancelledError:
                raise stopped_waiting("what was stated stays stated", f"fact id {fact_id}") from None
            except TimeoutError as error:
                raise _not_heard(fact, key, fact_id, timeout_s) from error


async def _hear(client: Client, events: Following, fact: BaseModel, key: str, fact_id: str) -> Heard:
    said: list[str] = []
    explain_at: float | None = time.monotonic() + EXPLAIN_AFTER_S
    while True:
        for event in await events.batch():
            if event.subject != key:
                continue
            if carries(event, fact):
                return Heard(fact_id, "taken", event=event, said=tuple(said))
            if event.correlation_id is None and event.data.change.message:
                said.append(": ".join(filter(None, (event.data.change.message, event.data.change.reason))))
        if explain_at is not None and time.monotonic() > explain_at:
            explain_at = None
            heard = await _explained(client, fact, key, fact_id)
            if heard is not None:
                return heard


async def _explained(client: Client, fact: BaseModel, key: str, fact_id: str) -> Heard | None:
    """Return why nothing was heard, as far as what was said before tells."""
    topic = event_type_of(type(fact)).topic
    held = await client.newest("account-events" if isinstance(fact, AccountStated) else "image-events", key)
    if held is not None and (why := contradiction(held.data.state, fact)):
        repeated = isinstance(fact, ImageDeleted) and held.data.state.status == "Deleted"
        return Heard(fact_id, "taken" if repeated else "ignored", why=why, event=held if repeated else None)
    newest = await client.newest(topic, key)
    if held is not None and newest is not None and newest.id != fact_id and newest.source == client.source:
        return Heard(fact_id, "ignored", why=f"it is not newer than the fact before it, of sequence {newest.sequence}")
    return None


def _not_heard(fact: BaseModel, key: str, fact_id: str, timeout_s: float) -> CommandError:
    name = event_type_of(type(fact)).name
    return CommandError(
        f"{name} of {key} was sent, and publisher has not said anything of it within {timeout_s:g} s; it stays stated",
        where=f"fact id {fact_id}",
        why="publisher is not running, is behind, or could not read it",
        advice="`image-commons run all` starts the services; `image-commons dead-letters list` shows what could not be read",
        exit_code=ExitCode.NO_ANSWER,
    )


def _view(fact: BaseModel, key: str, heard: Heard) -> RenderableType:
    from rich.console import Group

    name = event_type_of(type(fact)).name
    if heard.outcome == "sent":
        return plain(f"{name} of {key}: sent (id {heard.fact_id}); publisher ignores what contradicts an earlier fact")
    if heard.outcome == "ignored":
        return plain(f"✗ {name} of {key} was sent, and publisher ignores it: {heard.why}", "bold red")
    notes = [plain(f"  note: {line}", "yellow") for line in heard.said]
    return Group(plain(f"✓ {_sentence(fact, key)}", "green"), *notes)


def _sentence(fact: BaseModel, key: str) -> str:
    if isinstance(fact, AccountStated):
        return f"account {key} is {fact.status}" + (", a verified enterprise" if fact.enterprise_verified else "")
    if isinstance(fact, ImageDeleted):
        return f"image {key} is deleted"
    return f"image {key} is known: {getattr(fact, 'name', '')}, {getattr(fact, 'status', '')}"
