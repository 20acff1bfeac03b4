"""Publish: judge every rule at once; refuse, or have the image checked."""

from dataclasses import dataclass, replace

from uuid_utils import uuid7

from services.publisher.adapters.accounts import find_account
from services.publisher.adapters.images import save_image
from services.publisher.adapters.publications import open_publication
from services.publisher.adapters.unclear import unclear_topic
from services.publisher.domain.advice import warnings_of
from services.publisher.domain.model import Account, Image, Publication
from services.publisher.domain.problems import PROBLEMS_MAX, codes_of
from services.publisher.domain.proposal import Proposal, judge_proposal, proposal_of
from services.publisher.domain.states import REASON_CHARACTERS_MAX
from services.publisher.domain.verdict import unclear
from services.publisher.domain.views import image_state
from services.publisher.handlers.admission import enter, park_if, see_as_owner
from services.publisher.handlers.answers import Asked, refuse, say_of_image
from services.publisher.handlers.checks import CheckLimits, send_job, watch
from shared.contracts.answers import Warned
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImagePublished, PublicationChecking
from shared.contracts.requests import PublishRequested
from shared.database.transaction import Transaction
from shared.policy import Policy


@dataclass(frozen=True, slots=True)
class Publish:
    """Handles `publish.requested`."""

    limits: CheckLimits
    policy: Policy

    async def __call__(self, tx: Transaction, event: Event[PublishRequested]) -> None:
        """Answer with `publication.refused` or `request.rehearsed`, or begin a check, whose end is the answer."""
        sight = await see_as_owner(tx, event)
        account: Account | None = None
        if sight.image is not None and not sight.problems:
            account = await find_account(tx, sight.image.owner_account_id, "share")
            park_if(tx, event, missing=account is None)
        entered = await enter(tx, event, sight)
        if entered is None:
            return
        asked, image = entered
        proposal = proposal_of(event.data, image)
        problems = judge_proposal(image, account, proposal)
        if topic := await unclear_topic(tx, image_id=image.image_id, account_id=image.owner_account_id):
            problems.append(unclear(topic))
        warnings = warnings_of(proposal, created_at=image.created_at)
        attempt = self._attempt(tx, event, image, proposal)
        if problems:
            if not asked.dry_run:
                reason = codes_of(problems)[:REASON_CHARACTERS_MAX]
                attempt = replace(attempt, state="rejected", reason=reason, check_id=None, check_sequence=0)
                await open_publication(
                    tx, attempt, actor=asked.actor, policy_version=self.policy.label, problems=problems[:PROBLEMS_MAX]
                )
            await refuse(tx, asked, image, problems, warnings=warnings, publication=None if asked.dry_run else attempt)
        elif asked.dry_run:
            change = ImageChange(message="every rule that can be judged now is met; the check decides", warnings=warnings)
            await say_of_image(tx, asked, ImagePublished, image, change)
        else:
            await self._begin_check(tx, asked, replace(image, publication=attempt), attempt, warnings)

    def _attempt(self, tx: Transaction, event: Event[PublishRequested], image: Image, proposal: Proposal) -> Publication:
        return Publication(
            publication_id=str(uuid7()),
            image_id=image.image_id,
            region=image.region,
            account_id=image.owner_account_id,
            state="checking",
            since=tx.now,
            name=proposal.name,
            request_id=event.id,
            requested_at=tx.now,
            description=proposal.description,
            change_notes=proposal.change_notes,
            family=proposal.family,
            check_id=str(uuid7()),
            check_sequence=1,
            location=image.location,
            content_version=image.content_version,
            deadline_at=tx.now + self.limits.deadline,
            client_token=event.data.client_token,
        )

    async def _begin_check(
        self, tx: Transaction, asked: Asked, image: Image, publication: Publication, warnings: tuple[Warned, ...]
    ) -> None:
        await open_publication(tx, publication, actor=asked.actor, policy_version=self.policy.label)
        await save_image(tx, image)
        await watch(tx, publication, self.limits)
        send_job(tx, image, publication)
        change = ImageChange(
            message=f"{publication.name} is being checked",
            warnings=warnings,
            actor=asked.actor,
            publication_id=publication.publication_id,
            check_id=publication.check_id,
            deadline_at=publication.deadline_at,
        )
        # Same correlation id as the answer, and none itself: it only tells that the answer will take a while.
        checking = PublicationChecking(state=image_state(image), change=change)
        tx.emit(checking, key=image.image_id, correlation_id=asked.request_id)
