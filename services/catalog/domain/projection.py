"""From an image's public state to what the catalog keeps and shows of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.contracts.image_events import ImageState
from shared.contracts.visibility import is_community

OS_VERSION_TAG: Final = "acs:ecs:image:osVersion"
ARCHITECTURE_TAG: Final = "acs:ecs:image:architecture"
_OWNERS_OWN: Final = {"shared_with", "derived_from", "taken_down"}
_OF_PUBLICATION: Final = {"publication", "check"}


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as the catalog keeps it.

    `shown` are the JSON members (without braces) for everybody who sees the image, `shown_to_owner` those for its owner
    besides, each led by a comma.
    """

    image_id: str
    sequence: int
    region: str
    owner_account_id: str
    status: str
    community: bool
    name: str
    os_version: str | None
    architecture: str | None
    created_at: datetime
    shared_with: tuple[str, ...]
    shown: str
    shown_to_owner: str


def project(state: ImageState, sequence: int) -> ImageRow:
    """Return what is kept of `state`, which came with `sequence`.

    Strangers read the publication and the check it rests on only while it is live: how a publication is getting on, or why one
    failed, is between the vendor and the platform, as are shares, takedown and the private ancestors of an image.
    """
    community = is_community(state)
    private = _OWNERS_OWN if community else _OWNERS_OWN | _OF_PUBLICATION
    shown = state.model_dump_json(exclude=private, exclude_none=True)[1:-1]
    owners = state.model_dump_json(include=private, exclude_none=True)[1:-1]
    return ImageRow(
        image_id=state.image_id,
        sequence=sequence,
        region=state.region,
        owner_account_id=state.owner_account_id,
        status=state.status,
        community=community,
        name=state.name,
        os_version=state.tags.get(OS_VERSION_TAG),
        architecture=state.tags.get(ARCHITECTURE_TAG),
        created_at=state.created_at,
        shared_with=tuple(state.shared_with),
        shown=shown,
        shown_to_owner=f",{owners}" if owners else "",
    )
