"""Republish: tell the present state of everything once more, for readers that lost theirs (contracts, Topics)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from services.publisher.adapters.accounts import page_of_accounts
from services.publisher.adapters.images import page_of_images
from services.publisher.domain.views import account_state, image_state
from shared.contracts.account_events import AccountChange, AccountKnown
from shared.contracts.image_events import ImageChange, ImageKnown
from shared.database.pool import Database
from shared.database.transaction import Transaction

PAGE_RECORDS: Final = 200
"""States told in one transaction: as long as that, no other decision about these images is made."""


@dataclass(frozen=True, slots=True)
class Republished:
    """How many states were told."""

    images: int
    accounts: int


async def republish(database: Database, *, records_per_s: float) -> Republished:
    """Emit `account.known` and `image.known` for all there is, at most `records_per_s` of them a second.

    Each state is read and takes its sequence under its row's lock, so no reader takes it for newer than a decision made after it.
    May be run at any time and any number of times; nothing else happens by it.
    """
    accounts = await _all(database, _tell_accounts, records_per_s)
    return Republished(images=await _all(database, _tell_images, records_per_s), accounts=accounts)


async def _all(database: Database, tell: Callable[[Transaction, str], Awaitable[list[str]]], records_per_s: float) -> int:
    count, after = 0, ""
    while True:
        async with database.transaction() as tx:
            told = await tell(tx, after)
        if not told:
            return count
        count, after = count + len(told), told[-1]
        await asyncio.sleep(len(told) / records_per_s)


async def _tell_accounts(tx: Transaction, after: str) -> list[str]:
    accounts = await page_of_accounts(tx, after, PAGE_RECORDS)
    for account in accounts:
        tx.emit(AccountKnown(state=account_state(account), change=AccountChange()), key=account.account_id)
    return [account.account_id for account in accounts]


async def _tell_images(tx: Transaction, after: str) -> list[str]:
    images = await page_of_images(tx, after, PAGE_RECORDS)
    for image in images:
        tx.emit(ImageKnown(state=image_state(image), change=ImageChange()), key=image.image_id)
    return [image.image_id for image in images]
