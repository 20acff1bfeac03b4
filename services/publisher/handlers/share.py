"""Share: let one account see and launch an image."""

from dataclasses import replace

from services.publisher.adapters.accounts import find_account
from services.publisher.adapters.images import save_image
from services.publisher.domain.model import SHARES_MAX, Account, Image
from services.publisher.domain.problems import problem
from services.publisher.domain.rules.rule_01_status import judge_status
from services.publisher.domain.rules.rule_02_permission import judge_standing
from services.publisher.domain.rules.taken_down import judge_taken_down
from services.publisher.handlers.admission import enter, park_if, see_as_owner
from services.publisher.handlers.answers import refuse, say_of_image
from shared.contracts.answers import Problem
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageShared
from shared.contracts.requests import ShareRequested
from shared.database.transaction import Transaction


async def share(tx: Transaction, event: Event[ShareRequested]) -> None:
    """Handle `share.requested`; sharing twice with one account is done once and answered twice.

    Sharing with the owner does nothing, and its answer says so.
    """
    sight = await see_as_owner(tx, event)
    other: Account | None = None
    if not sight.problems:
        other = await find_account(tx, event.data.account_id, "share")
        park_if(tx, event, missing=other is None)
    entered = await enter(tx, event, sight)
    if entered is None:
        return
    asked, image = entered
    account_id = event.data.account_id
    if account_id == image.owner_account_id:
        change = ImageChange(
            message=f"{account_id} owns {image.name}; nothing to share", actor=asked.actor, account_id=account_id
        )
        await say_of_image(tx, asked, ImageShared, image, change)
        return
    problems = judge_share(image, account_id, other)
    if problems:
        await refuse(tx, asked, image, problems)
        return
    after = image
    if not asked.dry_run and account_id not in image.shared_with:
        after = replace(image, shared_with=(*image.shared_with, account_id))
        await save_image(tx, after)
    change = ImageChange(message=f"{image.name} is shared with {account_id}", actor=asked.actor, account_id=account_id)
    await say_of_image(tx, asked, ImageShared, after, change)


def judge_share(image: Image, account_id: str, account: Account | None) -> list[Problem]:
    """Return everything that keeps `image` from being shared with the account."""
    problems = [*judge_status(image), *judge_standing(account_id, account), *judge_taken_down(image)]
    if image.published is not None:
        problems.append(problem(Code.COMMUNITY_IMAGE, field="image_id", value=image.image_id))
    if account_id not in image.shared_with and len(image.shared_with) >= SHARES_MAX:
        problems.append(problem(Code.QUOTA_SHARE, field="account_id", value=str(len(image.shared_with))))
    return problems
