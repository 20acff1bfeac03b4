"""The locks of a whole batch, taken in one order before its first event: images by key, then accounts by key.

Two batches that meet in several images or accounts would otherwise wait for each other crosswise, and one start over. What does
not exist yet is not locked here; each handler looks again. What does is read here, for all at once: a round trip an event is what
a publication costs most.
"""

from collections.abc import Sequence
from typing import Any, Final

from services.publisher.adapters.accounts import lock_accounts
from services.publisher.adapters.images import lock_images, owners_of
from services.publisher.adapters.unclear import look_for_marks
from shared.contracts.checks import CheckCompleted
from shared.contracts.envelope import Event
from shared.contracts.facts import AccountStated
from shared.contracts.requests import PermitRequested, PublishRequested, ShareRequested
from shared.database.transaction import Transaction

_ABOUT_ACCOUNTS: Final = (AccountStated, PermitRequested)


async def lock_batch(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Lock what `events` will decide on; a single event takes its locks in this order by itself."""
    if len(events) < 2:  # noqa: PLR2004 - one has nobody to be ordered with
        return
    changed = {event.subject for event in events if isinstance(event.data, _ABOUT_ACCOUNTS)}
    images = {event.subject for event in events if not isinstance(event.data, _ABOUT_ACCOUNTS)}
    if images:
        await lock_images(tx, images)
    judged = {event.subject for event in events if isinstance(event.data, PublishRequested | CheckCompleted)}
    read = {event.data.account_id for event in events if isinstance(event.data, ShareRequested)}
    if judged:
        read |= (owners := owners_of(tx, judged))
    await lock_accounts(tx, read - changed, "share")
    await lock_accounts(tx, changed, "update")
    if judged:
        await look_for_marks(tx, image_ids=judged, account_ids=owners)
