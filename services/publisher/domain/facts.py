"""What a fact of upstream makes of an image, and of its publication."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.publisher.domain.model import SHARES_MAX, Image
from services.publisher.domain.problems import problem
from services.publisher.domain.rules.rule_01_status import judge_status
from services.publisher.domain.rules.rule_05_encryption import judge_encryption
from services.publisher.domain.verdict import undetermined
from shared.contracts.answers import Problem
from shared.contracts.codes import Code
from shared.contracts.facts import ImageDeleted, ImageFact, ImageRegistered

CONTENT_CHANGED: Final = "the image's content changed"
DELETED: Final = "the image was deleted"
ENCRYPTED: Final = "the image is encrypted"


def image_after(held: Image | None, fact: ImageFact, *, now: datetime) -> Image | None:
    """Return the image as `fact` leaves it; None if the fact may not be applied.

    Owner and region never change, and deleted is final (contracts, One authority each): a fact that says otherwise contradicts
    what was said before, so nothing of it is believed.
    """
    if held is None:
        return _registered(fact, now)
    if held.status == "Deleted" or (held.owner_account_id, held.region) != (fact.owner_account_id, fact.region):
        return None
    same_content = (held.location, held.content_version) == (fact.location, fact.content_version)
    first = isinstance(fact, ImageRegistered) and not held.registered
    status = "Deleted" if isinstance(fact, ImageDeleted) else fact.status
    return replace(
        held,
        name=fact.name,
        description=fact.description,
        family=fact.family,
        status=status,
        encrypted=fact.encrypted,
        location=fact.location,
        content_version=fact.content_version,
        format=fact.format,
        size_bytes=fact.size_bytes,
        created_at=fact.created_at,
        derived_from=fact.derived_from,
        root_product=fact.root_product,
        claims=fact.claims,
        registered=held.registered or first,
        shared_with=_with_earlier_shares(held, fact) if first else held.shared_with,
        tags=held.tags if same_content else {},
        check=held.check if same_content else None,
        deprecated_at=(held.deprecated_at or now) if status == "Deprecated" else None,
    )


def ends_publication(before: Image, after: Image) -> str | None:
    """Return why the change from `before` to `after` ends a live publication; None if it does not."""
    if after.status == "Deleted":
        return DELETED
    if content_of(before) != content_of(after):
        return CONTENT_CHANGED
    return ENCRYPTED if after.encrypted else None


def ends_check(before: Image, after: Image) -> list[Problem]:
    """Return why the change from `before` to `after` ends a check under way; empty if it does not."""
    if after.status == "Deleted":
        return [problem(Code.IMAGE_NOT_FOUND, field="image_id", value=after.image_id)]
    problems = [*judge_status(after), *judge_encryption(after)]
    if content_of(before) != content_of(after):
        problems.append(undetermined(f"{CONTENT_CHANGED} while it was being checked"))
    return problems


def content_of(image: Image) -> tuple[str, str]:
    """Return what says which bytes the image is."""
    return image.location, image.content_version


def _registered(fact: ImageFact, now: datetime) -> Image:
    status = "Deleted" if isinstance(fact, ImageDeleted) else fact.status
    first = isinstance(fact, ImageRegistered)
    return Image(
        image_id=fact.image_id,
        region=fact.region,
        owner_account_id=fact.owner_account_id,
        name=fact.name,
        status=status,
        encrypted=fact.encrypted,
        location=fact.location,
        content_version=fact.content_version,
        created_at=fact.created_at,
        description=fact.description,
        family=fact.family,
        format=fact.format,
        size_bytes=fact.size_bytes,
        derived_from=fact.derived_from,
        root_product=fact.root_product,
        claims=fact.claims,
        registered=first,
        shared_with=tuple(dict.fromkeys(fact.shared_with or ())) if first else (),
        deprecated_at=now if status == "Deprecated" else None,
    )


def _with_earlier_shares(held: Image, fact: ImageFact) -> tuple[str, ...]:
    """Return the shares from before this system, and those made here while only changes had been stated."""
    return tuple(dict.fromkeys([*held.shared_with, *(fact.shared_with or ())]))[:SHARES_MAX]
