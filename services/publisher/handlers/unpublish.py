"""Unpublish: take a community image back, or withdraw it while it is being checked."""

from dataclasses import dataclass, replace

from services.publisher.adapters.publications import move_publication
from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from services.publisher.domain.states import moved
from services.publisher.handlers.admission import enter, see_as_owner
from services.publisher.handlers.answers import Asked, refuse, say_of_image
from services.publisher.handlers.checks import end_check
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImageUnpublished, PublicationWithdrawn
from shared.contracts.requests import UnpublishRequested
from shared.database.transaction import Transaction
from shared.policy import Policy


@dataclass(frozen=True, slots=True)
class Unpublish:
    """Handles `unpublish.requested`."""

    policy: Policy

    async def __call__(self, tx: Transaction, event: Event[UnpublishRequested]) -> None:
        """Answer with `image.unpublished`, `publication.withdrawn` or a refusal."""
        entered = await enter(tx, event, await see_as_owner(tx, event))
        if entered is None:
            return
        asked, image = entered
        if image.published is not None:
            await self._take_back(tx, asked, image)
        elif image.checking is not None:
            await self._withdraw(tx, asked, image)
        else:
            state = None if image.publication is None else image.publication.state
            await refuse(tx, asked, image, [problem(Code.NOT_PUBLIC, field="publication", value=state)])

    async def _take_back(self, tx: Transaction, asked: Asked, image: Image) -> None:
        live = image.published
        if live is None:
            raise ValueError(image.image_id)
        change = ImageChange(message=f"{live.name} is unpublished", actor=asked.actor, publication_id=live.publication_id)
        after = image
        if not asked.dry_run:
            ended = moved(live, "unpublished", now=tx.now)
            await move_publication(tx, ended, actor=asked.actor, request_id=asked.request_id, policy_version=self.policy.label)
            after = replace(image, publication=ended)
        await say_of_image(tx, asked, ImageUnpublished, after, change)

    async def _withdraw(self, tx: Transaction, asked: Asked, image: Image) -> None:
        live = image.checking
        if live is None:
            raise ValueError(image.image_id)
        change = ImageChange(
            message=f"{live.name} is withdrawn", actor=asked.actor, publication_id=live.publication_id, check_id=live.check_id
        )
        after = image
        if not asked.dry_run:
            problems = [problem(Code.WITHDRAWN, field="publication_id", value=live.publication_id)]
            after = await end_check(
                tx, image, "withdrawn", problems, actor=asked.actor, request_id=asked.request_id, policy_version=self.policy.label
            )
        await say_of_image(tx, asked, PublicationWithdrawn, after, change)
