"""Who sees an image: the one rule that publisher, catalog and launcher share, as pure functions of its state."""

from typing import Literal

from shared.contracts.image_events import ImageState

Basis = Literal["own", "shared", "community"]


def is_community(state: ImageState) -> bool:
    """Whether the image is a community image: it has a live publication and is not deleted."""
    return state.status != "Deleted" and state.publication is not None and state.publication.state == "published"


def basis_for(state: ImageState, account_id: str, region: str) -> Basis | None:
    """Return on what grounds `account_id` may see the image in `region`, the strongest first; None where it may not."""
    if state.region != region or state.status == "Deleted":
        return None
    if state.owner_account_id == account_id:
        return "own"
    if account_id in state.shared_with:
        return "shared"
    return "community" if is_community(state) else None


def visible_to(state: ImageState, account_id: str, region: str) -> bool:
    """Whether `account_id` may see the image in `region`."""
    return basis_for(state, account_id, region) is not None
