"""Rule 10: only the owner publishes, unpublishes and shares; to whom an image is not visible there is none."""

from services.publisher.domain.model import Image
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_owner(image_id: str, image: Image | None, *, account_id: str, region: str) -> list[Problem]:
    """Return the one problem that keeps `account_id` from deciding about the image at all.

    Unknown, deleted, in another region and not visible are the same answer: nobody learns which ids exist.
    """
    if image is None or not image.visible_to(account_id, region):
        return [problem(Code.IMAGE_NOT_FOUND, field="image_id", value=image_id)]
    if image.owner_account_id != account_id:
        return [problem(Code.NOT_OWNER, field="image_id", value=image_id)]
    return []
