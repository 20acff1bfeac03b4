"""Facts that upstream services state: images and accounts, full state each time."""

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.base import (
    AccountId,
    Body,
    Currency,
    Description,
    ImageId,
    Line,
    Money,
    Name,
    Region,
    Shape,
    ShortText,
    SizeBytes,
    Time,
    Uri,
    Version,
)

ImageStatus = Literal["Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated", "Deleted"]
AccountStatus = Literal["active", "closed", "blocked"]
DiskFormat = Literal["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso"]
Architecture = Literal["x86_64", "arm64", "i386"]
BootMode = Literal["BIOS", "UEFI", "UEFI-Preferred"]
SharedWith = Annotated[tuple[AccountId, ...], Field(max_length=50)]


class Fee(Shape):
    """A licence fee per hour."""

    amount: Money
    currency: Currency


class RootProduct(Shape):
    """The paid product at the root of an image's lineage."""

    id: ShortText
    fee: Fee


class Claims(Shape):
    """What the image's metadata says it is; the check compares it with what it finds."""

    os_type: Literal["linux", "windows"] | None = None
    platform: ShortText | None = None
    architecture: Architecture | None = None
    boot_mode: BootMode | None = None


class ImageFact(Body):
    """The whole of what upstream knows of an image."""

    image_id: ImageId
    region: Region
    owner_account_id: AccountId
    name: Name
    description: Description | None = None
    family: Line | None = None
    status: ImageStatus
    encrypted: bool
    location: Uri
    content_version: Version
    format: DiskFormat | None = None
    size_bytes: SizeBytes | None = None
    created_at: Time
    derived_from: ImageId | None = None
    root_product: RootProduct | None = None
    claims: Claims | None = None
    shared_with: SharedWith | None = None
    """At first registration only: shares from before this system."""


class ImageRegistered(ImageFact):
    """An image exists."""


class ImageChanged(ImageFact):
    """An image is now as stated; owner and region never change."""


class ImageDeleted(ImageFact):
    """An image is gone, for good."""


class AccountStated(Body):
    """An account is as stated."""

    account_id: AccountId
    status: AccountStatus
    enterprise_verified: bool
    display_name: Line | None = None
