"""Rule 5: the image is not encrypted. What is declared is judged here, what is found by the check."""

from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_encryption(image: Image) -> list[Problem]:
    """Return what is wrong with what upstream declared."""
    return [problem(Code.ENCRYPTED, field="encrypted", value="true")] if image.encrypted else []
