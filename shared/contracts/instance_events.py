"""What launcher says of instances."""

from typing import Literal

from shared.contracts.answers import Outcome
from shared.contracts.base import (
    AccountId,
    Body,
    Currency,
    Digest,
    Identifier,
    ImageId,
    InstanceId,
    Line,
    Money,
    Region,
    Sequence,
    Shape,
    ShortText,
    Time,
)


class SystemDisk(Shape):
    """What a system disk was made from, and on what grounds."""

    disk_id: Identifier
    image_id: ImageId
    image_digest: Digest | None = None
    publication_id: Identifier | None = None
    image_sequence: Sequence
    basis: Literal["own", "shared", "community"]


class Charge(Shape):
    """A licence charge for the root product of the image launched: from when, until when, at what hourly fee."""

    product_id: ShortText
    amount: Money
    currency: Currency
    opened_at: Time
    closed_at: Time | None = None


class InstanceState(Shape):
    """The complete public state of an instance."""

    instance_id: InstanceId
    account_id: AccountId
    region: Region
    instance_type: ShortText | None = None
    system_disk: SystemDisk
    charge: Charge | None = None
    state: Literal["launched", "released"]


class InstanceChange(Outcome):
    """What happened; `publication_id` and `image_sequence` are those it was decided on, `way_out` what is still possible."""

    image_id: ImageId | None = None
    publication_id: Identifier | None = None
    image_sequence: Sequence | None = None
    way_out: Line | None = None


class InstanceEvent(Body):
    """Base of the events of an instance; `state` is null where the instance does not exist."""

    state: InstanceState | None
    change: InstanceChange


class InstanceKnown(InstanceEvent):
    """The state as it is, after a republish."""


class InstanceLaunched(InstanceEvent):
    """Authorised and booked; the compute service does the rest."""


class InstanceReinitialised(InstanceEvent):
    """The system disk may be set back to its image."""


class InstanceOsReplaced(InstanceEvent):
    """The system disk has another image."""


class InstanceReleased(InstanceEvent):
    """The instance is gone."""


class InstanceRefused(InstanceEvent):
    """The answer to any refused request about an instance."""


class InstanceRequestRehearsed(InstanceEvent):
    """The answer to a dry run about an instance."""
