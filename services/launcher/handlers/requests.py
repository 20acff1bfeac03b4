"""Launch, re-initialise, replace the OS, release: each request is decided on our own copies and answered once.

What may still be on its way is waited for (contracts.md, Order between topics): an image or account that is not found, or not
visible, parks the request on that key's events; so does `seen_sequence`. A family names no key: what it may come to could be on
its way on any, so all of `image-events` is waited for. An instance that is not found is answered at once: its only source is the
launch on this very key of this very topic, and whatever comes later on the key would run after the parked request in any case, so
waiting could not change the answer.
"""

from collections.abc import Sequence
from typing import Any

from uuid_utils import uuid7

from services.launcher.adapters.books import Books, hold_in_order
from services.launcher.adapters.tokens import find_earlier, uses_token
from services.launcher.domain.copies import AccountCopy, ImageCopy
from services.launcher.domain.decisions import (
    ACTOR_NOT_ALLOWED,
    FAMILY_NOT_FOUND,
    IMAGE_NOT_FOUND,
    INSTANCE_NOT_FOUND,
    NOTHING_NAMED,
    PARAMETER_MISMATCH,
    Granted,
    InstanceRequest,
    Refused,
    judge_launch,
    judge_reinitialisation,
    judge_release,
    judge_replacement,
    judge_request,
)
from services.launcher.domain.instance import CREATION_FAILED, Instance, launched
from services.launcher.handlers.answers import (
    answer_granted,
    answer_refused,
    answer_rehearsed,
    answer_repeated,
    answer_unheard,
)
from shared.contracts.envelope import Event
from shared.contracts.instance_events import (
    InstanceLaunched,
    InstanceOsReplaced,
    InstanceReinitialised,
    InstanceReleased,
)
from shared.contracts.requests import LaunchRequested, ReinitRequested, ReleaseRequested, ReplaceOsRequested
from shared.database.transaction import Transaction
from shared.messaging.handlers import Park, each


async def launch(tx: Transaction, event: Event[LaunchRequested]) -> None:
    """Book an instance under the requester's id, if the id is free and the account may use the image."""
    if await _answered_at_once(tx, event):
        return
    request, books = event.data, Books(tx)
    image_id = request.image_id
    if image_id is None:
        image_id = await _resolve_family(tx, books, request)
    if image_id is None:
        reason = NOTHING_NAMED if request.family is None else FAMILY_NOT_FOUND
        await answer_refused(tx, event, Refused((reason,)), await books.instance(request.instance_id))
        return
    image = await books.image(image_id)
    account = await books.account(request.account_id)
    taken = await books.instance(request.instance_id)
    late = image is not None and request.image_id is not None and image.sequence < (request.seen_sequence or 0)
    _park_if_missing(tx, request, image_id, None if late else image, account)
    decided: Granted | Refused = judge_launch(request.account_id, request.region, account, image, taken)
    if late:
        # Nobody wrote so new a state up to the end of the topic as it was: the sequence is made up.
        decided = Refused((IMAGE_NOT_FOUND,))
    if isinstance(decided, Refused):
        await answer_refused(tx, event, decided, taken)
        return
    if request.dry_run:
        await answer_rehearsed(tx, event, InstanceLaunched, None, decided)
        return
    instance = launched(
        decided.image,
        decided.basis,
        instance_id=request.instance_id,
        account_id=request.account_id,
        instance_type=request.instance_type,
        disk_id=_new_disk_id(),
        at=tx.now,
    )
    await books.book(instance)
    message = f"{request.instance_id} is launched from {decided.image.name}"
    await answer_granted(tx, event, InstanceLaunched, instance, message=message, decided=decided)


async def reinitialise(tx: Transaction, event: Event[ReinitRequested]) -> None:
    """Let a system disk be laid anew from its image, if the account may still use that image here."""
    if await _answered_at_once(tx, event):
        return
    request, books = event.data, Books(tx)
    image, account, instance = await _hold_with_image(books, request)
    if instance is not None and judge_release(request.account_id, request.region, instance) is None:
        needs: list[tuple[str, str | None]] = [] if image is not None else [("image-events", instance.disk.image_id)]
        needs += [] if account is not None else [("account-events", request.account_id)]
        if needs:
            _park_on(tx, needs)
    decided = judge_reinitialisation(request.account_id, request.region, account, image, instance)
    if isinstance(decided, Refused) or instance is None:
        refused = decided if isinstance(decided, Refused) else Refused((INSTANCE_NOT_FOUND,))
        await answer_refused(tx, event, refused, instance)
        return
    if request.dry_run:
        await answer_rehearsed(tx, event, InstanceReinitialised, instance, decided)
        return
    after = instance.reinitialised(decided.image, at=tx.now)
    await books.change(instance, after)
    message = f"the system disk of {request.instance_id} is re-initialised from {decided.image.name}"
    await answer_granted(tx, event, InstanceReinitialised, after, message=message, decided=decided)


async def replace_os(tx: Transaction, event: Event[ReplaceOsRequested]) -> None:
    """Give an instance a new system disk from another image that the account may use."""
    if await _answered_at_once(tx, event):
        return
    request, books = event.data, Books(tx)
    image = await books.image(request.image_id)
    account = await books.account(request.account_id)
    instance = await books.instance(request.instance_id)
    if judge_release(request.account_id, request.region, instance) is None:
        _park_if_missing(tx, request, request.image_id, image, account)
    decided = judge_replacement(request.account_id, request.region, account, image, instance)
    if isinstance(decided, Refused) or instance is None:
        refused = decided if isinstance(decided, Refused) else Refused((INSTANCE_NOT_FOUND,))
        await answer_refused(tx, event, refused, instance)
        return
    if request.dry_run:
        await answer_rehearsed(tx, event, InstanceOsReplaced, instance, decided)
        return
    after = instance.with_disk(decided.image, decided.basis, disk_id=_new_disk_id(), at=tx.now)
    await books.change(instance, after)
    message = f"{request.instance_id} has a new system disk from {decided.image.name}"
    await answer_granted(tx, event, InstanceOsReplaced, after, message=message, decided=decided)


async def release(tx: Transaction, event: Event[ReleaseRequested]) -> None:
    """Let an instance go and close its charge; its id is used for good.

    `creation_failed` ends a charge with no length, so it counts only from the compute service: from the account itself it
    releases the instance like any other reason, with a warning.
    """
    if await _answered_at_once(tx, event):
        return
    request, books = event.data, Books(tx)
    instance = await books.instance(request.instance_id)
    refused = judge_release(request.account_id, request.region, instance)
    if refused is not None or instance is None:
        await answer_refused(tx, event, refused or Refused((INSTANCE_NOT_FOUND,)), instance)
        return
    if request.dry_run:
        await answer_rehearsed(tx, event, InstanceReleased, instance)
        return
    never_ran = request.reason == CREATION_FAILED and request.actor.kind == "service"
    after = instance.released(at=tx.now, reason=request.reason, never_ran=never_ran)
    await books.change(instance, after)
    unheard = request.reason == CREATION_FAILED and not never_ran
    warnings = (ACTOR_NOT_ALLOWED,) if unheard else ()
    await answer_granted(tx, event, InstanceReleased, after, message=f"{request.instance_id} is released", warnings=warnings)


async def _answered_at_once(tx: Transaction, event: Event[Any]) -> bool:
    """Answer what needs no decision: a request too late or for somebody else, and the repeat of one by its client token."""
    request: InstanceRequest = event.data
    refused = judge_request(request, now=tx.now, recorded_at=event.recorded_at)
    earlier = await find_earlier(tx, event) if refused is None and uses_token(event) else None
    if refused is None and earlier is None:
        return False
    instance = await Books(tx).instance(request.instance_id)
    if earlier is not None and earlier.same:
        answer_repeated(tx, event, earlier, instance)
    else:
        await answer_unheard(tx, event, refused or Refused((PARAMETER_MISMATCH,)), instance)
    return True


async def _resolve_family(tx: Transaction, books: Books, request: LaunchRequested) -> str | None:
    if request.family is None:
        return None
    found = await books.newest_of_family(request.family, account_id=request.account_id, region=request.region)
    if found is None:
        # The account too, known or not: a request waits once, and is answered with whatever is missing then.
        _park_on(tx, [("image-events", None), ("account-events", request.account_id)])
    return found


def _park_if_missing(
    tx: Transaction, request: InstanceRequest, image_id: str, image: ImageCopy | None, account: AccountCopy | None
) -> None:
    """Park `request` for whatever would be answered `NotFound`, all of it at once."""
    needs: list[tuple[str, str | None]] = []
    if image is None or image.basis_for(request.account_id, request.region) is None:
        needs.append(("image-events", image_id))
    if account is None:
        needs.append(("account-events", request.account_id))
    if needs:
        _park_on(tx, needs)


def _park_on(tx: Transaction, needs: Sequence[tuple[str, str | None]]) -> None:
    if tx.may_park:
        raise Park(needs)


async def _hold_with_image(
    books: Books, request: ReinitRequested
) -> tuple[ImageCopy | None, AccountCopy | None, Instance | None]:
    """Hold the image of the instance's disk, the account and the instance, in the order of locks.

    The image is known from the instance, whose lock comes last. It cannot change in between: requests of one instance run one
    after the other, behind the offset's lock or the parked row's.
    """
    seen = await books.glance(request.instance_id)
    image = None if seen is None else await books.image(seen.disk.image_id)
    account = await books.account(request.account_id)
    instance = await books.instance(request.instance_id)
    if seen is not None and instance is not None and seen.disk.image_id != instance.disk.image_id:
        message = f"two requests of {request.instance_id} at once"
        raise RuntimeError(message)
    return image, account, instance


def _new_disk_id() -> str:
    return f"d-{uuid7()}"


async def _hold_batch(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Take the locks of a whole batch in key order, before its requests take them in theirs."""
    if len(events) < 2:  # noqa: PLR2004 - one request takes its locks in order by itself
        return
    requests: list[InstanceRequest] = [event.data for event in events]
    images = {request.image_id for request in requests if isinstance(request, LaunchRequested | ReplaceOsRequested)}
    await hold_in_order(
        tx,
        images=sorted(image for image in images if image is not None),
        accounts=sorted({request.account_id for request in requests}),
        instances=sorted({request.instance_id for request in requests}),
    )


instance_requests = each(
    {
        LaunchRequested: launch,
        ReinitRequested: reinitialise,
        ReplaceOsRequested: replace_os,
        ReleaseRequested: release,
    },
    before=_hold_batch,
)
"""Handles `instance-requests`."""
