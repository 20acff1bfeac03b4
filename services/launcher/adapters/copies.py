"""Writing the own copies of images and accounts: a whole batch in one statement, in key order, only what is newer."""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from services.launcher.domain.copies import AccountCopy, ImageCopy
from shared.database.transaction import Transaction

# Ordered, because a launch that holds two of these rows took them in that order too.
_STORE_IMAGES: Final = """
    INSERT INTO images AS kept (image_id, sequence, region, owner_account_id, name, family, status, publication_id, image_digest,
        root_product, shared_with, created_at)
    SELECT image_id, sequence, region, owner_account_id, name, family, status, publication_id, image_digest,
        root_product::jsonb, shared_with::text[], created_at
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::timestamptz[])
        AS newest (image_id, sequence, region, owner_account_id, name, family, status, publication_id, image_digest,
        root_product, shared_with, created_at)
    ORDER BY image_id
    ON CONFLICT (image_id) DO UPDATE SET
        sequence = excluded.sequence, region = excluded.region, owner_account_id = excluded.owner_account_id,
        name = excluded.name, family = excluded.family, status = excluded.status, publication_id = excluded.publication_id,
        image_digest = excluded.image_digest, root_product = excluded.root_product, shared_with = excluded.shared_with,
        created_at = excluded.created_at
    WHERE excluded.sequence > kept.sequence
"""
_STORE_ACCOUNTS: Final = """
    INSERT INTO accounts AS kept (account_id, sequence, status)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ORDER BY 1
    ON CONFLICT (account_id) DO UPDATE SET sequence = excluded.sequence, status = excluded.status
    WHERE excluded.sequence > kept.sequence
"""
_LOCK_IMAGES: Final = "SELECT FROM images WHERE image_id = ANY($1::text[]) ORDER BY image_id FOR UPDATE"
_LOCK_ACCOUNTS: Final = "SELECT FROM accounts WHERE account_id = ANY($1::text[]) ORDER BY account_id FOR UPDATE"
_FORGET_IMAGES: Final = """
    DELETE FROM images USING unnest($1::text[], $2::bigint[]) AS gone (image_id, sequence)
    WHERE images.image_id = gone.image_id AND images.sequence < gone.sequence
"""
_FORGET_ACCOUNTS: Final = """
    DELETE FROM accounts USING unnest($1::text[], $2::bigint[]) AS gone (account_id, sequence)
    WHERE accounts.account_id = gone.account_id AND accounts.sequence < gone.sequence
"""
Gone = Sequence[tuple[str, int]]
"""Keys with the sequences of the events that say that they do not exist."""


async def store_images(tx: Transaction, images: Sequence[ImageCopy], gone: Gone) -> None:
    """Keep `images`, one an id at most, and nothing of those that are `gone`."""
    if gone:
        keys, sequences = zip(*gone, strict=True)
        await tx.connection.execute(_LOCK_IMAGES, [*keys, *(image.image_id for image in images)])
        await tx.connection.execute(_FORGET_IMAGES, keys, sequences)
    if not images:
        return
    await tx.connection.execute(
        _STORE_IMAGES,
        [image.image_id for image in images],
        [image.sequence for image in images],
        [image.region for image in images],
        [image.owner_account_id for image in images],
        [image.name for image in images],
        [image.family for image in images],
        [image.status for image in images],
        [image.publication_id for image in images],
        [image.image_digest for image in images],
        [_product_of(image) for image in images],
        # An array literal: ids hold no character that would need quotes. Arrays of arrays do not survive unnest.
        ["{" + ",".join(sorted(image.shared_with)) + "}" for image in images],
        [image.created_at for image in images],
    )


async def store_accounts(tx: Transaction, accounts: Sequence[AccountCopy], gone: Gone) -> None:
    """Keep `accounts`, one an id at most, and nothing of those that are `gone`."""
    if gone:
        keys, sequences = zip(*gone, strict=True)
        await tx.connection.execute(_LOCK_ACCOUNTS, [*keys, *(account.account_id for account in accounts)])
        await tx.connection.execute(_FORGET_ACCOUNTS, keys, sequences)
    if not accounts:
        return
    await tx.connection.execute(
        _STORE_ACCOUNTS,
        [account.account_id for account in accounts],
        [account.sequence for account in accounts],
        [account.status for account in accounts],
    )


def _product_of(image: ImageCopy) -> str | None:
    product = image.root_product
    if product is None:
        return None
    return to_json({"id": product.product_id, "amount": str(product.fee), "currency": product.currency}).decode()
