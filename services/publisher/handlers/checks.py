"""A publication's check: its job, its timer, and how it ends without a publication."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.publisher.adapters.publications import count_job_event, move_publication
from services.publisher.domain.model import Image, Publication
from services.publisher.domain.problems import codes_of
from services.publisher.domain.states import moved
from services.publisher.handlers.answers import asked_for, refuse
from shared.contracts.answers import Problem
from shared.contracts.checks import CheckCancelled, CheckRequested
from shared.contracts.image_events import PublicationState
from shared.contracts.requests import Actor
from shared.database.transaction import Transaction

CHECK_TIMER: Final = "publication.check"
"""Kind of the one timer of a publication under check: its deadline, or the end of its check's silence, whichever is first."""


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """`deadline`: how long a publication waits for its check; `silence`: how long without a word before the job is sent again."""

    deadline: timedelta
    silence: timedelta


async def watch(tx: Transaction, publication: Publication, limits: CheckLimits) -> None:
    """Set the timer of `publication`, which has just been heard of, or whose job has just been sent."""
    due_at = min(deadline_of(publication), tx.now + limits.silence)
    await tx.schedule(CHECK_TIMER, publication.publication_id, due_at=due_at, payload={"image_id": publication.image_id})


def deadline_of(publication: Publication) -> datetime:
    """Return by when the check must have ended; raises `ValueError` for a publication that never reached checking."""
    if publication.deadline_at is None:
        raise ValueError(publication.publication_id)
    return publication.deadline_at


def send_job(tx: Transaction, image: Image, publication: Publication) -> None:
    """Send the publication's check job; its sequence is `check_sequence`, which the caller has counted."""
    if publication.check_id is None or publication.location is None or publication.content_version is None:
        raise ValueError(publication.publication_id)
    job = CheckRequested(
        check_id=publication.check_id,
        publication_id=publication.publication_id,
        image_id=image.image_id,
        region=image.region,
        name=publication.name,
        location=publication.location,
        content_version=publication.content_version,
        format=image.format,
        size_bytes=image.size_bytes,
        claims=image.claims,
        deadline_at=deadline_of(publication),
    )
    tx.emit(job, key=image.image_id, sequence=publication.check_sequence)


async def send_job_again(tx: Transaction, image: Image, publication: Publication) -> None:
    """Send the same job once more, under the same check id: a checker that has it ignores it, one that lost it takes it up."""
    again = replace(publication, check_sequence=publication.check_sequence + 1)
    await count_job_event(tx, again)
    send_job(tx, image, again)


async def end_check(
    tx: Transaction,
    image: Image,
    state: PublicationState,
    problems: Sequence[Problem],
    *,
    actor: Actor,
    policy_version: str,
    request_id: str | None = None,
    cancel: bool = True,
) -> Image:
    """End the check of `image`'s publication, which goes to `state`, and answer its publish request with `problems`.

    Returns the image as it is then; its row is the caller's to write. `request_id` is the request that caused it, if one did;
    `cancel` tells the checker that the result is wanted no more.
    """
    publication = image.checking
    if publication is None or publication.check_id is None:
        raise ValueError(image.image_id)
    if cancel:
        publication = replace(publication, check_sequence=publication.check_sequence + 1)
        cancelled = CheckCancelled(check_id=publication.check_id or "", image_id=image.image_id)
        tx.emit(cancelled, key=image.image_id, sequence=publication.check_sequence)
    ended = moved(publication, state, now=tx.now, reason=codes_of(problems))
    await move_publication(tx, ended, actor=actor, request_id=request_id, policy_version=policy_version, problems=problems)
    await tx.cancel_timer(CHECK_TIMER, ended.publication_id)
    after = replace(image, publication=ended)
    await refuse(tx, asked_for(ended), after, problems, publication=ended)
    return after
