"""What publisher knows of an image, a publication and an account, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.contracts.account_events import Permission
from shared.contracts.facts import AccountStatus, Claims, DiskFormat, ImageStatus, RootProduct
from shared.contracts.image_events import CheckView, PublicationState, TakenDown
from shared.contracts.requests import ChangeNotes

SHARES_MAX = 50
"""Accounts an image can be shared with (contracts, Core shapes)."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account's standing."""

    account_id: str
    status: AccountStatus
    enterprise_verified: bool
    display_name: str | None = None
    permission: Permission | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """One attempt to make an image a community image; `request_id` is the publish request that it answers.

    `check_sequence` counts the events of its check's job; `location` and `content_version` are what that job is about.
    """

    publication_id: str
    image_id: str
    region: str
    account_id: str
    state: PublicationState
    since: datetime
    name: str
    request_id: str
    requested_at: datetime
    reason: str | None = None
    description: str | None = None
    change_notes: ChangeNotes | None = None
    family: str | None = None
    check_id: str | None = None
    check_sequence: int = 0
    location: str | None = None
    content_version: str | None = None
    deadline_at: datetime | None = None
    client_token: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image: what upstream states, and what was decided about it.

    `name`, `description` and `family` are the image's own; others see those of the live `publication`. `publication` is the live
    one, else the latest that reached checking. `tags` and `check` are of the present content.
    """

    image_id: str
    region: str
    owner_account_id: str
    name: str
    status: ImageStatus
    encrypted: bool
    location: str
    content_version: str
    created_at: datetime
    description: str | None = None
    family: str | None = None
    format: DiskFormat | None = None
    size_bytes: int | None = None
    derived_from: str | None = None
    root_product: RootProduct | None = None
    claims: Claims | None = None
    registered: bool = False
    shared_with: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    check: CheckView | None = None
    deprecated_at: datetime | None = None
    taken_down: TakenDown | None = None
    publication: Publication | None = None

    @property
    def published(self) -> Publication | None:
        """The publication that makes it a community image."""
        return self.publication if self.publication is not None and self.publication.state == "published" else None

    @property
    def checking(self) -> Publication | None:
        """The publication whose check is under way."""
        return self.publication if self.publication is not None and self.publication.state == "checking" else None

    @property
    def shown_name(self) -> str:
        """The name others see."""
        return self.published.name if self.published is not None else self.name

    def visible_to(self, account_id: str, region: str) -> bool:
        """Whether `account_id` sees it in `region`; nobody sees a deleted image."""
        if self.region != region or self.status == "Deleted":
            return False
        return account_id == self.owner_account_id or account_id in self.shared_with or self.published is not None
