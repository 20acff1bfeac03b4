"""Image and account events become the launcher's own copies."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from services.launcher.adapters.copies import store_accounts, store_images
from services.launcher.domain.copies import AccountCopy, ImageCopy, RootProduct
from shared.contracts.account_events import AccountState
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageState
from shared.database.transaction import Transaction


async def apply_image_events(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Keep the newest state of each image in `events`; every type carries it."""
    newest = _newest(events)
    copies = [_image_of(state, sequence) for _, sequence, state in newest if state is not None]
    await store_images(tx, copies, [(key, sequence) for key, sequence, state in newest if state is None])


async def apply_account_events(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Keep the newest standing of each account in `events`."""
    newest = _newest(events)
    copies = [_account_of(state, sequence) for _, sequence, state in newest if state is not None]
    await store_accounts(tx, copies, [(key, sequence) for key, sequence, state in newest if state is None])


def _newest(events: Sequence[Event[Any]]) -> list[tuple[str, int, Any]]:
    """Return key, sequence and state of each key's newest event, in key order."""
    newest: dict[str, Event[Any]] = {}
    for event in events:
        held = newest.get(event.subject)
        if held is None or (event.sequence or 0) > (held.sequence or 0):
            newest[event.subject] = event
    return [(key, newest[key].sequence or 0, newest[key].data.state) for key in sorted(newest)]


def _image_of(state: ImageState, sequence: int) -> ImageCopy:
    publication, product = state.publication, state.root_product
    live = publication is not None and publication.state == "published" and state.status != "Deleted"
    return ImageCopy(
        image_id=state.image_id,
        sequence=sequence,
        region=state.region,
        owner_account_id=state.owner_account_id,
        name=state.name,
        status=state.status,
        created_at=state.created_at,
        family=state.family,
        publication_id=publication.id if publication is not None and live else None,
        image_digest=None if state.check is None else state.check.image_digest,
        root_product=None if product is None else RootProduct(product.id, Decimal(product.fee.amount), product.fee.currency),
        shared_with=frozenset(state.shared_with),
    )


def _account_of(state: AccountState, sequence: int) -> AccountCopy:
    return AccountCopy(state.account_id, sequence, state.status)
