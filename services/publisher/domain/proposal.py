"""What a publish request proposes to show others, and everything that stands in its way."""

from dataclasses import dataclass

from services.publisher.domain.model import Account, Image, Publication
from services.publisher.domain.rules.rule_01_status import judge_status
from services.publisher.domain.rules.rule_02_permission import judge_permission
from services.publisher.domain.rules.rule_05_encryption import judge_encryption
from services.publisher.domain.rules.rule_06_name import judge_name, normalised
from services.publisher.domain.rules.rule_07_description import judge_description
from services.publisher.domain.rules.rule_09_once import judge_once
from services.publisher.domain.rules.taken_down import judge_taken_down
from shared.contracts.answers import Problem
from shared.contracts.requests import ChangeNotes, PublishRequested


@dataclass(frozen=True, slots=True)
class Proposal:
    """Name, description or change notes, and family that others are to see; texts in NFC."""

    name: str
    description: str | None
    change_notes: ChangeNotes | None
    family: str | None


def proposal_of(request: PublishRequested, image: Image) -> Proposal:
    """Return what `request` proposes; what it does not give is the image's own."""
    description = request.description
    if description is None and request.change_notes is None:
        description = image.description
    return Proposal(
        name=normalised(image.name if request.name is None else request.name),
        description=None if description is None else normalised(description),
        change_notes=request.change_notes,
        family=image.family if request.family is None else request.family,
    )


def judge_proposal(image: Image, account: Account | None, proposal: Proposal) -> list[Problem]:
    """Return every rule that the owner's request breaks, all at once."""
    return [
        *judge_status(image),
        *judge_permission(image.owner_account_id, account),
        *judge_encryption(image),
        *judge_name(proposal.name),
        *judge_description(proposal.description, proposal.change_notes),
        *judge_once(image),
        *judge_taken_down(image),
    ]


def judge_again(image: Image, account: Account | None, publication: Publication) -> list[Problem]:
    """Return every rule broken by now, when the check of `publication` is done: it may have taken hours.

    Name and description are the publication's own and cannot have changed; owner (rule 10) and region never change.
    """
    return [
        *judge_status(image),
        *judge_permission(image.owner_account_id, account),
        *judge_encryption(image),
        *judge_once(image, mine=publication.publication_id),
        *judge_taken_down(image),
    ]
