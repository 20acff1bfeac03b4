"""Take-down and its lifting: an operator withdraws an image, in whatever state, and lets it be published again."""

from dataclasses import dataclass, replace

from services.publisher.adapters.images import save_image
from services.publisher.adapters.publications import move_publication
from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from services.publisher.domain.states import moved
from services.publisher.handlers.admission import enter, see_as_operator
from services.publisher.handlers.answers import Asked, refuse, say_of_image
from services.publisher.handlers.checks import end_check
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageTakeDownLifted, ImageTakenDown, TakenDown
from shared.contracts.requests import TakeDownLiftRequested, TakeDownRequested
from shared.database.transaction import Transaction
from shared.policy import Policy


@dataclass(frozen=True, slots=True)
class TakeDown:
    """Handles `take-down.requested`."""

    policy: Policy

    async def __call__(self, tx: Transaction, event: Event[TakeDownRequested]) -> None:
        """End a live publication or a check under way, and bar the next.

        An image already taken down stays so, with its first reason.
        """
        entered = await enter(tx, event, await see_as_operator(tx, event))
        if entered is None:
            return
        asked, image = entered
        live = image.published or image.checking
        change = ImageChange(
            message=f"{image.shown_name} is taken down",
            actor=asked.actor,
            reason=event.data.reason,
            publication_id=None if live is None else live.publication_id,
        )
        after = image
        if not asked.dry_run:
            taken_down = image.taken_down or TakenDown(since=tx.now, reason=event.data.reason)
            after = await self._end_live(tx, asked, replace(image, taken_down=taken_down))
            await save_image(tx, after)
        await say_of_image(tx, asked, ImageTakenDown, after, change)

    async def _end_live(self, tx: Transaction, asked: Asked, image: Image) -> Image:
        reason = "" if image.taken_down is None else image.taken_down.reason
        if image.checking is not None:
            problems = [problem(Code.TAKEN_DOWN, field="image_id", value=reason)]
            return await end_check(
                tx,
                image,
                "taken_down",
                problems,
                actor=asked.actor,
                request_id=asked.request_id,
                policy_version=self.policy.label,
            )
        if image.published is not None:
            ended = moved(image.published, "taken_down", now=tx.now, reason=reason)
            await move_publication(tx, ended, actor=asked.actor, request_id=asked.request_id, policy_version=self.policy.label)
            return replace(image, publication=ended)
        return image


async def take_down_lift(tx: Transaction, event: Event[TakeDownLiftRequested]) -> None:
    """Handle `take-down-lift.requested`: the image can be published again, by a request of its owner and a fresh check."""
    entered = await enter(tx, event, await see_as_operator(tx, event))
    if entered is None:
        return
    asked, image = entered
    if image.taken_down is None:
        await refuse(tx, asked, image, [problem(Code.NOT_TAKEN_DOWN, field="image_id", value=image.image_id)])
        return
    after = image
    if not asked.dry_run:
        after = replace(image, taken_down=None)
        await save_image(tx, after)
    change = ImageChange(message=f"the take-down of {image.name} is lifted", actor=asked.actor, reason=event.data.reason)
    await say_of_image(tx, asked, ImageTakeDownLifted, after, change)
