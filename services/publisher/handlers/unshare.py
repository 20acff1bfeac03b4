"""Unshare: take a share back, whatever state the image is in."""

from dataclasses import replace

from services.publisher.adapters.images import save_image
from services.publisher.handlers.admission import enter, see_as_owner
from services.publisher.handlers.answers import say_of_image
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageUnshared
from shared.contracts.requests import UnshareRequested
from shared.database.transaction import Transaction


async def unshare(tx: Transaction, event: Event[UnshareRequested]) -> None:
    """Handle `unshare.requested`: always done for the owner, also where there was no share."""
    entered = await enter(tx, event, await see_as_owner(tx, event))
    if entered is None:
        return
    asked, image = entered
    account_id = event.data.account_id
    after = image
    if not asked.dry_run and account_id in image.shared_with:
        after = replace(image, shared_with=tuple(held for held in image.shared_with if held != account_id))
        await save_image(tx, after)
    change = ImageChange(message=f"{image.name} is no longer shared with {account_id}", actor=asked.actor, account_id=account_id)
    await say_of_image(tx, asked, ImageUnshared, after, change)
