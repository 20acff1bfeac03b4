"""An instance and its system disk: what the books say, and how a granted request changes them."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from services.launcher.domain.copies import Basis, ImageCopy


@dataclass(frozen=True, slots=True)
class SystemDisk:
    """A system disk and the image its contents came from, as of the decision that wrote it last.

    `disk_id` and `basis` are of the launch or OS replacement that made the disk and stay for its life, for audit. Digest,
    publication and sequence are those on which the contents were last laid: a re-initialisation lays them anew.
    """

    disk_id: str
    image_id: str
    image_sequence: int
    image_digest: str | None
    publication_id: str | None
    basis: Basis

    @classmethod
    def of(cls, image: ImageCopy, basis: Basis, *, disk_id: str) -> "SystemDisk":
        """Return a new disk laid from `image`, which was granted on `basis`."""
        return cls(disk_id, image.image_id, image.sequence, image.image_digest, image.publication_id, basis)

    def laid_anew(self, image: ImageCopy) -> "SystemDisk":
        """Return the disk after its contents were laid again from `image`, its own image as it is now."""
        return replace(self, image_sequence=image.sequence, image_digest=image.image_digest, publication_id=image.publication_id)


@dataclass(frozen=True, slots=True)
class Charge:
    """A licence fee of a paid root product, owed from `opened_at` until `closed_at`. One a disk at most."""

    charge_id: str
    disk_id: str
    product_id: str
    fee: Decimal
    currency: str
    opened_at: datetime
    closed_at: datetime | None = None

    def closed(self, at: datetime) -> "Charge":
        """Return the charge closed at `at`, or at its opening if the clock has since been set back."""
        return replace(self, closed_at=max(at, self.opened_at))


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that was authorised and booked. `charge` is the last opened one, closed or not."""

    instance_id: str
    account_id: str
    region: str
    disk: SystemDisk
    launched_at: datetime
    changed_at: datetime
    instance_type: str | None = None
    released_at: datetime | None = None
    release_reason: str | None = None
    charge: Charge | None = None

    @property
    def state(self) -> Literal["launched", "released"]:
        """`launched` until it is `released`."""
        return "launched" if self.released_at is None else "released"

    def reinitialised(self, image: ImageCopy, *, at: datetime) -> "Instance":
        """Return the instance with its disk laid anew from `image`; a charge runs on, the disk being the same."""
        return replace(self, disk=self.disk.laid_anew(image), changed_at=at)

    def with_disk(self, image: ImageCopy, basis: Basis, *, disk_id: str, at: datetime) -> "Instance":
        """Return the instance with a new disk `disk_id` from `image`: the old disk's charge ends, the new one's begins."""
        charge = open_charge(image, disk_id=disk_id, at=at)
        if charge is None and self.charge is not None:
            charge = self.charge if self.charge.closed_at is not None else self.charge.closed(at)
        return replace(self, disk=SystemDisk.of(image, basis, disk_id=disk_id), changed_at=at, charge=charge)

    def released(self, *, at: datetime, reason: str | None, never_ran: bool = False) -> "Instance":
        """Return the instance released at `at`; one that `never_ran` is charged for no time at all."""
        charge = self.charge
        if charge is not None and charge.closed_at is None:
            charge = charge.closed(charge.opened_at if never_ran else at)
        return replace(self, changed_at=at, released_at=at, release_reason=reason, charge=charge)


CREATION_FAILED: Final = "creation_failed"
"""The reason with which the compute service releases what it could not create (domain.md, Unpublishing)."""


def launched(
    image: ImageCopy,
    basis: Basis,
    *,
    instance_id: str,
    account_id: str,
    instance_type: str | None,
    disk_id: str,
    at: datetime,
) -> Instance:
    """Return a new instance of `account_id` with the disk `disk_id` from `image`, in the image's region."""
    return Instance(
        instance_id=instance_id,
        account_id=account_id,
        region=image.region,
        disk=SystemDisk.of(image, basis, disk_id=disk_id),
        launched_at=at,
        changed_at=at,
        instance_type=instance_type,
        charge=open_charge(image, disk_id=disk_id, at=at),
    )


def open_charge(image: ImageCopy, *, disk_id: str, at: datetime) -> Charge | None:
    """Return the charge that using `image` now opens, None if nothing is owed.

    The charge's id is the disk's: a disk is charged once, however often its request is read.
    """
    product = image.fee
    if product is None:
        return None
    return Charge(disk_id, disk_id, product.product_id, product.fee, product.currency, at)
