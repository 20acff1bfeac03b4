"""What is granted and what is refused, and why. Pure: every rule about instances is here, and nowhere else.

A judgement names every broken rule at once, but for two, which stand alone because more would tell a stranger what it may not
know: `InvalidImageId.NotFound` and `InvalidInstanceId.NotFound` (domain.md, Rules of publishing, other codes).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.launcher.domain.copies import LAUNCHABLE, AccountCopy, Basis, ImageCopy
from services.launcher.domain.instance import Instance
from shared.contracts.codes import CODES, Code
from shared.contracts.requests import LaunchRequested, ReinitRequested, ReleaseRequested, ReplaceOsRequested

InstanceRequest = LaunchRequested | ReinitRequested | ReplaceOsRequested | ReleaseRequested
REQUEST_AGE_MAX: Final = timedelta(days=7)
"""Older requests are refused: beyond this the inbox may no longer know that they were answered (contracts.md, Consuming)."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One broken rule: its code, what it met, what to do about it. `retryable`: asking again later may help.

    `value` None: what the request says in `field`.
    """

    code: Code
    advice: str
    field: str | None = None
    value: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The request may be carried out on `image`, on `basis`; `warnings` are for the asker to read."""

    image: ImageCopy
    basis: Basis
    warnings: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is refused. `image` is what it was decided on, None where naming it would tell of what the asker cannot see.

    `way_out` is what would be granted instead.
    """

    reasons: tuple[Reason, ...]
    image: ImageCopy | None = None
    way_out: str | None = None


def _of(code: Code, field: str | None = None, *, advice: str | None = None, retryable: bool | None = None) -> Reason:
    info = CODES[code]
    return Reason(code, advice or info.advice, field, retryable=info.retryable if retryable is None else retryable)


IMAGE_NOT_FOUND: Final = _of(Code.IMAGE_NOT_FOUND, "image_id")
FAMILY_NOT_FOUND: Final = _of(Code.FAMILY_NOT_FOUND, "family", retryable=True)
NOTHING_NAMED: Final = _of(Code.IMAGE_NOT_FOUND, "image_id", advice="name an image, or a family")
ACCOUNT_NOT_FOUND: Final = _of(Code.ACCOUNT_NOT_FOUND, "account_id", retryable=True)
INSTANCE_NOT_FOUND: Final = _of(Code.INSTANCE_NOT_FOUND, "instance_id")
INSTANCE_DUPLICATE: Final = _of(Code.INSTANCE_DUPLICATE, "instance_id")
EXPIRED: Final = _of(Code.EXPIRED)
PARAMETER_MISMATCH: Final = _of(Code.PARAMETER_MISMATCH, "client_token")
ACTOR_NOT_ALLOWED: Final = _of(Code.ACTOR_NOT_ALLOWED, "actor")
UNPUBLISHED: Final = _of(Code.IMAGE_UNPUBLISHED, "image_id")
WAY_OUT: Final = "replace-os: the system disk gets another image that the account's list of images shows"
IMAGE_DELETED: Final = _of(Code.IMAGE_NOT_FOUND, "image_id", advice=UNPUBLISHED.advice)
IMAGE_UNCLEAR: Final = _of(
    Code.IMAGE_NOT_FOUND,
    "image_id",
    advice="the image's state cannot be told just now; ask again later, or replace the OS",
    retryable=True,
)


def judge_request(request: InstanceRequest, *, now: datetime, recorded_at: datetime | None) -> Refused | None:
    """Refuse a request that is past its own time limit, too old to be known as answered, or made for somebody else.

    `now` is the database's time, `recorded_at` the broker's. An account acts for itself alone; operators have a topic of their
    own.
    """
    if request.expires_at is not None and now >= request.expires_at:
        return Refused((replace(EXPIRED, field="expires_at", value=request.expires_at.isoformat()),))
    if recorded_at is not None and now - recorded_at > REQUEST_AGE_MAX:
        return Refused((replace(EXPIRED, field="recorded_at", value=recorded_at.isoformat()),))
    actor = request.actor
    if actor.kind == "operator" or (actor.kind == "account" and actor.id != request.account_id):
        return Refused((ACTOR_NOT_ALLOWED,))
    return None


def judge_launch(
    account_id: str, region: str, account: AccountCopy | None, image: ImageCopy | None, taken: Instance | None
) -> Granted | Refused:
    """Judge a launch by `account_id` in `region`.

    `account` and `image` are None where nothing is known, or what is known is unclear (here and below); `taken` is the instance
    that already has the id.
    """
    granted = _judge_use(account_id, region, account, image)
    if taken is None or (isinstance(granted, Refused) and granted.reasons == (IMAGE_NOT_FOUND,)):
        return granted
    reasons = granted.reasons if isinstance(granted, Refused) else ()
    return Refused((*reasons, INSTANCE_DUPLICATE), granted.image)


def judge_replacement(
    account_id: str, region: str, account: AccountCopy | None, image: ImageCopy | None, instance: Instance | None
) -> Granted | Refused:
    """Judge an OS replacement of `instance` by `image`: any image visible to the account will do."""
    if not _is_theirs(instance, account_id, region):
        return Refused((INSTANCE_NOT_FOUND,))
    return _judge_use(account_id, region, account, image)


def judge_reinitialisation(
    account_id: str, region: str, account: AccountCopy | None, image: ImageCopy | None, instance: Instance | None
) -> Granted | Refused:
    """Judge the re-initialisation of `instance`, whose disk came from `image` (domain.md, Unpublishing, the decision).

    Allowed if, now, the account owns the image, holds an unrevoked share of it, or the image has a live publication in the
    instance's region; how the instance was launched does not matter. A stranger to the image gets one answer whether the image
    was unpublished, taken down or deleted; its owner and holders of shares learn that it is deleted. Whatever keeps this image
    from being used, another one would do: every such refusal names the way out, unless the account keeps it from that as well.
    """
    if instance is None or not _is_theirs(instance, account_id, region):
        return Refused((INSTANCE_NOT_FOUND,))
    reasons = _judge_account(account)
    way_out = None if reasons else WAY_OUT
    if image is None:
        return Refused((*reasons, IMAGE_UNCLEAR), way_out=way_out)
    basis = image.basis_for(account_id, instance.region)
    if basis is None:
        entitled = image.owner_account_id == account_id or account_id in image.shared_with
        return Refused((*reasons, IMAGE_DELETED if entitled else UNPUBLISHED), image, way_out)
    reasons += _judge_status(image)
    if reasons:
        return Refused(reasons, image, way_out)
    return Granted(image, basis, _warnings(image))


def judge_release(account_id: str, region: str, instance: Instance | None) -> Refused | None:
    """Judge a release: the owner of an instance can always let it go, whatever became of image and account."""
    return None if _is_theirs(instance, account_id, region) else Refused((INSTANCE_NOT_FOUND,))


def _is_theirs(instance: Instance | None, account_id: str, region: str) -> bool:
    # Unknown, another account's, another region's, released: one answer for all.
    return (
        instance is not None and instance.account_id == account_id and instance.region == region and instance.released_at is None
    )


def _judge_use(account_id: str, region: str, account: AccountCopy | None, image: ImageCopy | None) -> Granted | Refused:
    basis = None if image is None else image.basis_for(account_id, region)
    if image is None or basis is None:
        return Refused((IMAGE_NOT_FOUND,))
    reasons = _judge_account(account) + _judge_status(image)
    if reasons:
        return Refused(reasons, image)
    return Granted(image, basis, _warnings(image))


def _judge_account(account: AccountCopy | None) -> tuple[Reason, ...]:
    if account is None:
        return (ACCOUNT_NOT_FOUND,)
    if account.status == "active":
        return ()
    return (replace(_of(Code.ACCOUNT_NOT_ACTIVE, "account_id"), value=account.status),)


def _judge_status(image: ImageCopy) -> tuple[Reason, ...]:
    if image.status in LAUNCHABLE:
        return ()
    reason = _of(Code.INVALID_IMAGE_STATUS, "status", retryable=image.status != "CreateFailed")
    return (replace(reason, value=image.status),)


def _warnings(image: ImageCopy) -> tuple[Reason, ...]:
    if image.status != "Deprecated":
        return ()
    return (_of(Code.INVALID_IMAGE_STATUS, "image_id", advice="the image is deprecated: plan to move to a newer one"),)
