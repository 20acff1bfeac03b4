"""Public states: what every record of `image-events` and `account-events` carries."""

from services.publisher.domain.model import Account, Image
from shared.contracts.account_events import AccountState
from shared.contracts.image_events import Deprecation, ImageState, PublicationView


def image_state(image: Image) -> ImageState:
    """Return the complete public state of `image`: under the name of its live publication, else under its own."""
    live, latest = image.published, image.publication
    return ImageState(
        image_id=image.image_id,
        region=image.region,
        owner_account_id=image.owner_account_id,
        name=image.name if live is None else live.name,
        description=image.description if live is None else live.description,
        change_notes=None if live is None else live.change_notes,
        family=image.family if live is None else live.family,
        status=image.status,
        encrypted=image.encrypted,
        size_bytes=image.size_bytes,
        created_at=image.created_at,
        derived_from=image.derived_from,
        root_product=image.root_product,
        shared_with=image.shared_with,
        tags=dict(image.tags),
        publication=None
        if latest is None
        else PublicationView(id=latest.publication_id, state=latest.state, since=latest.since, reason=latest.reason),
        check=image.check,
        deprecation=None if image.deprecated_at is None else Deprecation(since=image.deprecated_at),
        taken_down=image.taken_down,
    )


def account_state(account: Account) -> AccountState:
    """Return the complete public state of `account`."""
    return AccountState(
        account_id=account.account_id,
        status=account.status,
        enterprise_verified=account.enterprise_verified,
        display_name=account.display_name,
        permission=account.permission,
    )
