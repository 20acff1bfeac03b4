"""What publisher says of images: the whole public state after each event, beside what happened."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.contracts.answers import Outcome
from shared.contracts.base import (
    AccountId,
    Body,
    Description,
    Digest,
    Identifier,
    ImageId,
    Line,
    Name,
    NoNul,
    Region,
    Sha256,
    Shape,
    ShortText,
    SizeBytes,
    Time,
)
from shared.contracts.facts import ImageStatus, RootProduct, SharedWith
from shared.contracts.report import CheckOutcome
from shared.contracts.requests import ChangeNotes

PublicationState = Literal["rejected", "checking", "check_failed", "withdrawn", "published", "unpublished", "taken_down"]
TagKey = Annotated[str, StringConstraints(min_length=1, max_length=64), NoNul]
TagValue = Annotated[str, StringConstraints(max_length=128), NoNul]
Tags = Annotated[dict[TagKey, TagValue], Field(max_length=20)]


class PublicationView(Shape):
    """An image's live publication, else the latest that reached checking."""

    id: Identifier
    state: PublicationState
    since: Time
    ends_at: Time | None = None
    reason: Line | None = None


class CheckView(Shape):
    """The check that the publication rests on."""

    report_id: Identifier
    report_sha256: Sha256
    image_digest: Digest
    rules_version: ShortText
    checked_at: Time
    outcome: CheckOutcome
    policy_version: ShortText


class Deprecation(Shape):
    """Since when an image is deprecated, and what to use instead."""

    since: Time
    replacement_image_id: ImageId | None = None


class TakenDown(Shape):
    """Since when an image is taken down, and why."""

    since: Time
    reason: Line


class ImageState(Shape):
    """The complete public state of an image."""

    image_id: ImageId
    region: Region
    owner_account_id: AccountId
    name: Name
    description: Description | None = None
    change_notes: ChangeNotes | None = None
    family: Line | None = None
    status: ImageStatus
    encrypted: bool
    size_bytes: SizeBytes | None = None
    created_at: Time
    derived_from: ImageId | None = None
    root_product: RootProduct | None = None
    shared_with: SharedWith = ()
    tags: Tags = Field(default_factory=dict)
    publication: PublicationView | None = None
    check: CheckView | None = None
    deprecation: Deprecation | None = None
    taken_down: TakenDown | None = None


class ImageChange(Outcome):
    """What happened to an image."""

    publication_id: Identifier | None = None
    check_id: Identifier | None = None
    account_id: AccountId | None = None
    deadline_at: Time | None = None
    tags: Tags | None = None


class ImageEvent(Body):
    """Base of the events of an image; `state` is null where the image does not exist."""

    state: ImageState | None
    change: ImageChange


class ImageKnown(ImageEvent):
    """The state as it is: after a fact, or a republish. No request caused it."""


class ImageTagged(ImageEvent):
    """System tags show what the check detected."""


class PublicationChecking(ImageEvent):
    """A publish request was accepted and its image is being checked; not yet an answer."""


class ImagePublished(ImageEvent):
    """The image is a community image from now on."""


class ImageUnpublished(ImageEvent):
    """The image is no community image any more."""


class PublicationRefused(ImageEvent):
    """The answer to a publish request that led to nothing, with every problem."""


class PublicationWithdrawn(ImageEvent):
    """The answer to an unpublish request that ended a publication while it was being checked."""


class ImageTakenDown(ImageEvent):
    """An operator withdrew the image."""


class ImageTakeDownLifted(ImageEvent):
    """An operator lets the image be published again."""


class ImageShared(ImageEvent):
    """One more account sees the image."""


class ImageUnshared(ImageEvent):
    """A share was taken back."""


class ImageDeprecated(ImageEvent):
    """The image's status became Deprecated."""


class ImageRemoved(ImageEvent):
    """The image was deleted; `state` tells it was."""


class RequestRefused(ImageEvent):
    """The answer to any other request about an image that was refused."""


class RequestRehearsed(ImageEvent):
    """The answer to a dry run."""
