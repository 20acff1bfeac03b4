"""Rule 9: the image is not public already, nor being checked for another publication."""

from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_once(image: Image, *, mine: str | None = None) -> list[Problem]:
    """Return what is wrong with the image's live publication, other than the one whose id is `mine`."""
    live = image.publication
    if live is None or live.publication_id == mine:
        return []
    if live.state == "published":
        return [problem(Code.IMAGE_PUBLIC, field="publication_id", value=live.publication_id)]
    if live.state == "checking":
        return [problem(Code.PUBLISH_IN_PROGRESS, field="publication_id", value=live.publication_id)]
    return []
