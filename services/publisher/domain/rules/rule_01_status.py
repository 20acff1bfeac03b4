"""Rule 1: the image is Available."""

from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_status(image: Image) -> list[Problem]:
    """Return what is wrong with the image's status."""
    if image.status == "Available":
        return []
    return [problem(Code.INVALID_IMAGE_STATUS, field="status", value=image.status)]
