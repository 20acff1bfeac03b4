"""The launcher's own copies of images and accounts: all it may decide a request on."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

LAUNCHABLE: Final = frozenset({"Available", "Deprecated"})
"""States from which a system disk may be made; a deprecated image warns (domain.md, States)."""


class Basis(StrEnum):
    """Why an account may use an image, the strongest reason first."""

    OWN = "own"
    SHARED = "shared"
    COMMUNITY = "community"


@dataclass(frozen=True, slots=True)
class RootProduct:
    """The paid product at the root of an image's lineage, and its licence fee (decimal, in `currency`)."""

    product_id: str
    fee: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class ImageCopy:
    """An image as the newest event read tells it. `publication_id` is that of the live publication, None without one."""

    image_id: str
    sequence: int
    region: str
    owner_account_id: str
    name: str
    status: str
    created_at: datetime
    family: str | None = None
    publication_id: str | None = None
    image_digest: str | None = None
    root_product: RootProduct | None = None
    shared_with: frozenset[str] = frozenset()

    def basis_for(self, account_id: str, region: str) -> Basis | None:
        """Return why `account_id` may use the image in `region`; None if it does not even see it.

        Another region's, a stranger's private and a deleted image are alike (domain.md, While an image is a community image).
        """
        if self.region != region or self.status == "Deleted":
            return None
        if self.owner_account_id == account_id:
            return Basis.OWN
        if account_id in self.shared_with:
            return Basis.SHARED
        return Basis.COMMUNITY if self.publication_id is not None else None

    @property
    def fee(self) -> RootProduct | None:
        """The product whose licence fee an account owes for using the image now; None if there is none.

        Whoever launches a *community* image made from a paid one is charged (domain.md): the owner and those it is shared with
        too, while it is published. What they owe for it as a private image is between them and the product's vendor.
        """
        return None if self.publication_id is None else self.root_product


@dataclass(frozen=True, slots=True)
class AccountCopy:
    """An account's standing as the newest event read tells it: `active`, `closed` or `blocked`."""

    account_id: str
    sequence: int
    status: str
