"""What the checker says: progress keeps its job from being sent again, a result decides."""

from dataclasses import dataclass, replace

from services.publisher.adapters.accounts import find_account
from services.publisher.adapters.images import find_image, save_image
from services.publisher.adapters.publications import move_publication
from services.publisher.adapters.unclear import unclear_topic
from services.publisher.domain.advice import warnings_of
from services.publisher.domain.model import Image, Publication
from services.publisher.domain.problems import problem
from services.publisher.domain.proposal import Proposal, judge_again
from services.publisher.domain.states import moved
from services.publisher.domain.verdict import Verdict, unclear, undetermined, verdict_of
from services.publisher.domain.views import image_state
from services.publisher.handlers.answers import PLATFORM, asked_for, say_of_image
from services.publisher.handlers.checks import CHECK_TIMER, CheckLimits, deadline_of, end_check, send_job_again, watch
from shared.contracts.checks import CheckCompleted, CheckProgressed
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.image_events import ImageChange, ImagePublished, ImageTagged
from shared.contracts.report import Attributes
from shared.database.transaction import Timer, Transaction
from shared.policy import Policy


@dataclass(frozen=True, slots=True)
class CheckSpoke:
    """Handles `check.progressed`: the checker has the job."""

    limits: CheckLimits

    async def __call__(self, tx: Transaction, event: Event[CheckProgressed]) -> None:
        """Put off sending the job again; progress of another check than the present one means nothing."""
        waiting = await _waiting_for(tx, event.subject, event.data.check_id)
        if waiting is not None:
            await watch(tx, waiting[1], self.limits)


@dataclass(frozen=True, slots=True)
class CheckSilent:
    """Handles the timer of a publication under check: out of time, or silent for too long."""

    limits: CheckLimits
    policy: Policy

    async def __call__(self, tx: Transaction, timer: Timer) -> None:
        """End the check at its deadline; before it, send its job again."""
        image = await find_image(tx, str(timer.payload["image_id"]))
        publication = None if image is None else image.checking
        if image is None or publication is None or publication.publication_id != timer.key:
            return
        if tx.now >= deadline_of(publication):
            await _time_out(tx, image, self.policy)
        else:
            await send_job_again(tx, image, publication)
            await watch(tx, publication, self.limits)


@dataclass(frozen=True, slots=True)
class CheckDecides:
    """Handles `check.completed`."""

    policy: Policy

    async def __call__(self, tx: Transaction, event: Event[CheckCompleted]) -> None:
        """Judge again what may have changed meanwhile, weigh the items, publish or refuse.

        A result of an unknown or ended check is ignored. A fact that changes the content ends the check by itself, under the same
        lock; that the content is still the job's is judged here all the same.
        """
        waiting = await _waiting_for(tx, event.subject, event.data.check_id)
        if waiting is None:
            return
        image, publication = waiting
        if tx.now >= deadline_of(publication):
            await _time_out(tx, image, self.policy)
            return
        account = await find_account(tx, image.owner_account_id, "share")
        gate, label = self.policy.region(publication.region).gate, self.policy.label
        verdict = verdict_of(event.data, publication, now=tx.now, policy=gate, policy_version=label)
        problems = [*judge_again(image, account, publication), *verdict.problems]
        if (image.location, image.content_version) != (publication.location, publication.content_version):
            problems.append(undetermined("the image's content changed while it was being checked"))
        if topic := await unclear_topic(tx, image_id=image.image_id, account_id=image.owner_account_id):
            problems.append(unclear(topic))
        if problems:
            checked = replace(image, check=verdict.check)
            ended = await end_check(tx, checked, "check_failed", problems, actor=PLATFORM, policy_version=label, cancel=False)
            await save_image(tx, ended)
        else:
            await self._publish(tx, image, publication, verdict, event.data.attributes)

    async def _publish(
        self, tx: Transaction, image: Image, publication: Publication, verdict: Verdict, attributes: Attributes
    ) -> None:
        asked = asked_for(publication)
        tagged = replace(image, check=verdict.check, tags=dict(verdict.tags))
        published = moved(publication, "published", now=tx.now)
        after = replace(tagged, publication=published)
        await move_publication(tx, published, actor=PLATFORM, request_id=published.request_id, policy_version=self.policy.label)
        await save_image(tx, after)
        await tx.cancel_timer(CHECK_TIMER, published.publication_id)
        told = ImageChange(publication_id=published.publication_id, check_id=published.check_id, tags=dict(verdict.tags))
        tx.emit(ImageTagged(state=image_state(tagged), change=told), key=image.image_id, correlation_id=asked.request_id)
        proposal = Proposal(published.name, published.description, published.change_notes, published.family)
        change = told.model_copy(
            update={
                "message": f"{published.name} is published",
                "warnings": warnings_of(proposal, created_at=image.created_at, attributes=attributes),
                "actor": asked.actor,
            }
        )
        await say_of_image(tx, asked, ImagePublished, after, change)


async def _time_out(tx: Transaction, image: Image, policy: Policy) -> None:
    late = [problem(Code.CHECK_TIMED_OUT, field="check")]
    await end_check(tx, image, "check_failed", late, actor=PLATFORM, policy_version=policy.label)


async def _waiting_for(tx: Transaction, image_id: str, check_id: str) -> tuple[Image, Publication] | None:
    """Return the image, locked, and its publication, if that waits for this very check."""
    image = await find_image(tx, image_id)
    publication = None if image is None else image.checking
    if image is None or publication is None or publication.check_id != check_id:
        return None
    return image, publication
