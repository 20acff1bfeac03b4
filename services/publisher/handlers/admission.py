"""What every request goes through before its use case decides anything: time, actor, visibility, ownership, client token."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from services.publisher.adapters.images import find_image_or_hold
from services.publisher.adapters.tokens import TokenScope, claim_token, wait_for_token
from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem, retryable
from services.publisher.domain.rules.rule_10_owner import judge_owner
from services.publisher.domain.views import image_state
from services.publisher.handlers.answers import Asked, asked_by, refuse, say
from shared.contracts.account_events import AccountChange, AccountRequestRefused, AccountState
from shared.contracts.answers import Problem
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageState
from shared.contracts.registry import REGISTRY, event_type_of
from shared.contracts.requests import Request, ShareRequested
from shared.database.transaction import Transaction
from shared.messaging.handlers import Park

REQUEST_AGE_MAX: Final = timedelta(days=7)
"""How old a request's record may be; the inbox remembers identities longer than that (contracts, Consuming)."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a request is about: the image, locked, and whatever keeps the asker from deciding about it at all."""

    image: Image | None
    problems: tuple[Problem, ...]


def judge_request(tx: Transaction, event: Event[Request], *, by_operator: bool) -> tuple[Problem, ...]:
    """Return why the request is not looked at: it came too late, or its actor may not ask for this."""
    data = event.data
    if data.expires_at is not None and data.expires_at <= tx.now:
        return (problem(Code.EXPIRED, field="expires_at", value=data.expires_at.isoformat()),)
    if event.recorded_at is not None and tx.now - event.recorded_at > REQUEST_AGE_MAX:
        return (problem(Code.EXPIRED, field="recorded_at", value=event.recorded_at.isoformat()),)
    if data.actor.kind != ("operator" if by_operator else "account"):
        return (problem(Code.ACTOR_NOT_ALLOWED, field="actor.kind", value=data.actor.kind),)
    return ()


async def see_as_owner(tx: Transaction, event: Event[Any]) -> Sight:
    """Lock the image an account asks about; raises `Park` while the fact that would make it visible may be on its way."""
    image = await find_image_or_hold(tx, event.subject)
    problems = judge_request(tx, event, by_operator=False)
    if not problems:
        actor = event.data.actor
        problems = tuple(judge_owner(event.subject, image, account_id=actor.id, region=event.data.region))
        park_if(tx, event, missing=_is_not_found(problems))
    return Sight(image, problems)


async def see_as_operator(tx: Transaction, event: Event[Any]) -> Sight:
    """Lock the image an operator asks about; raises `Park` while the fact that would make it known may be on its way."""
    image = await find_image_or_hold(tx, event.subject)
    problems = judge_request(tx, event, by_operator=True)
    if not problems and (image is None or image.status == "Deleted" or image.region != event.data.region):
        problems = (problem(Code.IMAGE_NOT_FOUND, field="image_id", value=event.subject),)
        park_if(tx, event, missing=_is_not_found(problems))
    return Sight(image, problems)


async def enter(tx: Transaction, event: Event[Any], sight: Sight) -> tuple[Asked, Image] | None:
    """Claim the request's token and refuse what `sight` found; returns None if the request is dealt with.

    Called once nothing can park any more: this is the request's first write.
    """
    asked = await claim(tx, event, sight.problems, None if sight.image is None else image_state(sight.image))
    if asked is None:
        return None
    if sight.problems or sight.image is None:
        await refuse(tx, asked, sight.image, sight.problems)
        return None
    return asked, sight.image


async def claim(
    tx: Transaction, event: Event[Any], problems: tuple[Problem, ...], state: ImageState | AccountState | None
) -> Asked | None:
    """Claim the request's token, if it has one; returns None if an earlier request with it has, or will have, answered.

    Expired requests, those of a wrong actor, and dry runs use no token. Of repeats while the first waits for its answer, no more
    than `WAITING_MAX` wait with it; the others are refused at once, retryable.
    """
    data: Request = event.data
    asked = asked_by(event)
    unheard = any(found.code in {Code.EXPIRED, Code.ACTOR_NOT_ALLOWED} for found in problems)
    if data.client_token is None or data.dry_run or unheard:
        return asked
    scope = TokenScope(data.actor.kind, data.actor.id, event.type, data.region, data.client_token)
    content = hashlib.sha256(data.model_dump_json(exclude={"client_token", "expires_at"}).encode()).digest()
    earlier = await claim_token(tx, scope, content)
    if earlier is None:
        return replace(asked, token=scope)
    if earlier.content != content:
        found = problem(Code.PARAMETER_MISMATCH, field="client_token", value=data.client_token)
        await _refuse_in_state(tx, asked, found, state)
    elif earlier.answer is None:
        if not await wait_for_token(tx, scope, event.id):
            # Only a publish waits: its first request is being checked.
            found = problem(Code.PUBLISH_IN_PROGRESS, field="client_token", value=data.client_token)
            await _refuse_in_state(tx, asked, found, state)
    else:
        await _repeat(tx, asked, earlier.answer, state)
    return None


async def _refuse_in_state(tx: Transaction, asked: Asked, found: Problem, state: ImageState | AccountState | None) -> None:
    change = _change_model(asked)(
        message=f"refused: 1 problem with {asked.key}", problems=(found,), retryable=retryable((found,)), actor=asked.actor
    )
    await say(tx, asked, asked.refusal, state, change)


async def _repeat(tx: Transaction, asked: Asked, answer: str, state: ImageState | AccountState | None) -> None:
    """Give the first request's answer again, under this one's id, with the state as it is now."""
    kept = json.loads(answer)
    model = REGISTRY[event_type_of(asked.refusal).topic, kept["type"]].model
    change = _change_model(asked).model_validate_json(json.dumps(kept["change"]))
    await say(tx, asked, model, state, change)


def _change_model(asked: Asked) -> type[ImageChange | AccountChange]:
    return AccountChange if asked.refusal is AccountRequestRefused else ImageChange


def park_if(tx: Transaction, event: Event[Any], *, missing: bool) -> None:
    """Park a request about an image, if something is `missing` that may be on its way, on every fact that it is decided on.

    On all of them, whichever is missing now: it waits once, and what comes back is answered, so a fact it did not wait for would
    be missing for good.
    """
    if not missing or not tx.may_park:
        return
    data = event.data
    needs = [("image-facts", event.subject)]
    if data.actor.kind == "account":
        needs.append(("account-facts", data.actor.id))
    if isinstance(data, ShareRequested):
        needs.append(("account-facts", data.account_id))
    raise Park(needs)


def _is_not_found(problems: tuple[Problem, ...]) -> bool:
    # Unknown and not visible wait alike: how long an answer takes must not tell which ids exist.
    return any(found.code == Code.IMAGE_NOT_FOUND for found in problems)
