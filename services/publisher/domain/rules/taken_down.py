"""An image taken down cannot be published, nor shared anew, until an operator lifts it (contracts, Consuming)."""

from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_taken_down(image: Image) -> list[Problem]:
    """Return whether the image is taken down, with the operator's reason."""
    if image.taken_down is None:
        return []
    return [problem(Code.TAKEN_DOWN, field="image_id", value=image.taken_down.reason)]
