"""Answers: exactly one to each request, under its id; to repeats of it, under theirs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.publisher.adapters.tokens import TokenScope, settle_token
from services.publisher.domain.model import Image, Publication
from services.publisher.domain.problems import PROBLEMS_MAX, retryable
from services.publisher.domain.views import image_state
from shared.contracts.account_events import AccountRequestRefused, AccountRequestRehearsed, AccountState
from shared.contracts.answers import Outcome, Problem, Warned
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageState, PublicationRefused, RequestRefused, RequestRehearsed
from shared.contracts.registry import event_type_of
from shared.contracts.requests import Actor, PermitRequested, PublishRequested, Request
from shared.database.transaction import Transaction

PLATFORM: Final = Actor(kind="service", id="publisher")
"""The actor of what no request asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that wants its answer: `key` is the aggregate's id, `refusal` the event that refuses it.

    `token` is there if repeats of it may wait for the answer.
    """

    request_id: str
    key: str
    actor: Actor
    refusal: type[PublicationRefused | RequestRefused | AccountRequestRefused]
    dry_run: bool = False
    token: TokenScope | None = None


def asked_by(event: Event[Any]) -> Asked:
    """Return the request that `event` is, its token not yet claimed."""
    data: Request = event.data
    refusal: type[PublicationRefused | RequestRefused | AccountRequestRefused] = RequestRefused
    if isinstance(data, PublishRequested):
        refusal = PublicationRefused
    elif isinstance(data, PermitRequested):
        refusal = AccountRequestRefused
    return Asked(event.id, event.subject, data.actor, refusal, data.dry_run)


def asked_for(publication: Publication) -> Asked:
    """Return the publish request that `publication` is to answer."""
    actor = Actor(kind="account", id=publication.account_id)
    token = None
    if publication.client_token is not None:
        type_ = event_type_of(PublishRequested).type
        token = TokenScope(actor.kind, actor.id, type_, publication.region, publication.client_token)
    return Asked(publication.request_id, publication.image_id, actor, PublicationRefused, token=token)


async def say(tx: Transaction, asked: Asked, model: type[Any], state: ImageState | AccountState | None, change: Outcome) -> None:
    """Answer `asked` with the event `model`; a dry run with what would have been that answer."""
    if asked.dry_run:
        change = change.model_copy(update={"would_be": event_type_of(model).type})
        model = AccountRequestRehearsed if asked.refusal is AccountRequestRefused else RequestRehearsed
    ids = [asked.request_id]
    if asked.token is not None:
        kept = {"type": event_type_of(model).type, "change": change.model_dump(mode="json", exclude_none=True)}
        ids += await settle_token(tx, asked.token, json.dumps(kept))
    for request_id in ids:
        tx.emit(model(state=state, change=change), key=asked.key, correlation_id=request_id)


async def say_of_image(tx: Transaction, asked: Asked, model: type[Any], image: Image | None, change: ImageChange) -> None:
    """Answer `asked` with the event `model` and the image's state after it."""
    await say(tx, asked, model, None if image is None else image_state(image), change)


async def refuse(
    tx: Transaction,
    asked: Asked,
    image: Image | None,
    problems: Sequence[Problem],
    *,
    warnings: Sequence[Warned] = (),
    publication: Publication | None = None,
) -> None:
    """Refuse `asked`, naming every problem at once."""
    named = tuple(problems[:PROBLEMS_MAX])
    count = "1 problem" if len(named) == 1 else f"{len(named)} problems"
    change = ImageChange(
        message=f"refused: {count} with {asked.key}",
        warnings=tuple(warnings),
        problems=named,
        retryable=retryable(named),
        actor=asked.actor,
        publication_id=None if publication is None else publication.publication_id,
        check_id=None if publication is None else publication.check_id,
    )
    await say_of_image(tx, asked, asked.refusal, image, change)
