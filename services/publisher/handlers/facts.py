"""Facts of upstream: images and accounts are as stated."""

from dataclasses import dataclass, replace

from services.publisher.adapters.accounts import find_account_or_hold, save_account
from services.publisher.adapters.images import find_image_or_hold, save_image
from services.publisher.adapters.publications import move_publication
from services.publisher.domain.facts import ends_check, ends_publication, image_after
from services.publisher.domain.model import Account, Image
from services.publisher.domain.states import moved
from services.publisher.domain.views import account_state, image_state
from services.publisher.handlers.answers import PLATFORM
from services.publisher.handlers.checks import end_check
from shared.contracts.account_events import AccountChange, AccountKnown
from shared.contracts.envelope import Event
from shared.contracts.facts import AccountStated, ImageFact
from shared.contracts.image_events import ImageChange, ImageDeprecated, ImageEvent, ImageKnown, ImageRemoved, ImageUnpublished
from shared.database.transaction import Transaction
from shared.policy import Policy
from shared.telemetry.logs import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ImageStated:
    """Handles `image.registered`, `image.changed` and `image.deleted`."""

    policy: Policy

    async def __call__(self, tx: Transaction, event: Event[ImageFact]) -> None:
        """Keep the image, tell of it.

        A change under a check ends the check, one under a live publication may end that; both are told before the fact itself.
        """
        before = await find_image_or_hold(tx, event.subject)
        after = image_after(before, event.data, now=tx.now)
        if after is None:
            await logger.awarning("fact_contradicts", image_id=event.subject, type=event.type, source=event.source, id=event.id)
            return
        if before is None:
            await save_image(tx, after)
        else:
            after = await self._end_what_it_ends(tx, before, after)
            await save_image(tx, after)
        model: type[ImageEvent] = ImageKnown
        if after.status == "Deleted":
            model = ImageRemoved
        elif after.status == "Deprecated" and (before is None or before.status != "Deprecated"):
            model = ImageDeprecated
        tx.emit(model(state=image_state(after), change=ImageChange()), key=after.image_id)

    async def _end_what_it_ends(self, tx: Transaction, before: Image, after: Image) -> Image:
        if after.checking is not None:
            problems = ends_check(before, after)
            if not problems:
                return after
            return await end_check(tx, after, "check_failed", problems, actor=PLATFORM, policy_version=self.policy.label)
        live, reason = after.published, ends_publication(before, after)
        if live is None or reason is None:
            return after
        ended = moved(live, "unpublished", now=tx.now, reason=reason)
        await move_publication(tx, ended, actor=PLATFORM, policy_version=self.policy.label)
        after = replace(after, publication=ended)
        change = ImageChange(
            message=f"{live.name} is unpublished", actor=PLATFORM, reason=reason, publication_id=live.publication_id
        )
        tx.emit(ImageUnpublished(state=image_state(after), change=change), key=after.image_id)
        return after


async def account_stated(tx: Transaction, event: Event[AccountStated]) -> None:
    """Handle `account.stated`: keep the account's standing, tell of it. A permission is the operators' and stays."""
    data = event.data
    held = await find_account_or_hold(tx, event.subject)
    permission = None if held is None else held.permission
    account = Account(data.account_id, data.status, data.enterprise_verified, data.display_name, permission)
    await save_account(tx, account)
    tx.emit(AccountKnown(state=account_state(account), change=AccountChange()), key=account.account_id)
