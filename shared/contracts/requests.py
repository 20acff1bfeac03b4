"""Requests: what accounts and operators ask for. Each decodable one gets exactly one answer."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.contracts.base import (
    AccountId,
    Body,
    Description,
    Identifier,
    ImageId,
    InstanceId,
    Line,
    Name,
    NoNul,
    Region,
    Sequence,
    Shape,
    ShortText,
    Time,
)

ClientToken = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,64}$")]
Heading = Annotated[str, StringConstraints(max_length=512), NoNul]


class Actor(Shape):
    """Who asks. That the writer may speak for it is the broker's ACL; an account acts for itself alone."""

    kind: Literal["account", "operator", "service"]
    id: Identifier


class Request(Body):
    """What every request carries."""

    actor: Actor
    region: Region
    client_token: ClientToken | None = None
    dry_run: bool = False
    expires_at: Time | None = None


class ChangeNotes(Shape):
    """A description in seven headings."""

    iteration_version: Heading
    feature_changes: Heading
    fixes: Heading
    performance: Heading
    security: Heading
    dependency_updates: Heading
    compatibility: Heading


class AcceptedAgreement(Shape):
    """An agreement signed with the request itself."""

    id: ShortText
    version: ShortText


class PublishRequested(Request):
    """Make an image a community image. Name, description and family default to the image's own."""

    image_id: ImageId
    name: Name | None = None
    description: Description | None = None
    change_notes: ChangeNotes | None = None
    family: Line | None = None
    accepted_agreements: Annotated[tuple[AcceptedAgreement, ...], Field(max_length=16)] | None = None


class UnpublishRequested(Request):
    """Withdraw a community image, or its publication while it is being checked."""

    image_id: ImageId


class ShareRequested(Request):
    """Let one account see and launch an image."""

    image_id: ImageId
    account_id: AccountId


class UnshareRequested(Request):
    """Take a share back; always allowed to the owner."""

    image_id: ImageId
    account_id: AccountId


class PermitRequested(Request):
    """Grant an account the permission to publish, on a ticket."""

    account_id: AccountId
    ticket: ShortText


class TakeDownRequested(Request):
    """Withdraw an image by the operator's authority."""

    image_id: ImageId
    reason: Line


class TakeDownLiftRequested(Request):
    """Let an image taken down be published again."""

    image_id: ImageId
    reason: Line | None = None


class LaunchRequested(Request):
    """Create an instance, under an id the requester chose, from an image or the newest of a family."""

    instance_id: InstanceId
    account_id: AccountId
    image_id: ImageId | None = None
    family: Line | None = None
    instance_type: ShortText | None = None
    seen_sequence: Sequence | None = None


class ReinitRequested(Request):
    """Set an instance's system disk back to its image."""

    instance_id: InstanceId
    account_id: AccountId


class ReplaceOsRequested(Request):
    """Give an instance's system disk another image."""

    instance_id: InstanceId
    account_id: AccountId
    image_id: ImageId


class ReleaseRequested(Request):
    """End an instance; with reason `creation_failed` it never came to be."""

    instance_id: InstanceId
    account_id: AccountId
    reason: ShortText | None = None
