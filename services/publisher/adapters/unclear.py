"""Marks of what could not be read."""

from typing import Final

from shared.database.transaction import Transaction

_UNCLEAR: Final = """
    SELECT topic, key FROM reader_keys WHERE unclear
    AND ((topic = 'image-facts' AND key = ANY($1::text[])) OR (topic = 'account-facts' AND key = ANY($2::text[])))
"""


async def look_for_marks(tx: Transaction, *, image_ids: set[str], account_ids: set[str]) -> None:
    """Note which of a batch's images and accounts are marked, for `unclear_topic`."""
    marked = {(row["topic"], row["key"]) for row in await tx.connection.fetch(_UNCLEAR, sorted(image_ids), sorted(account_ids))}
    for topic, keys in (("image-facts", image_ids), ("account-facts", account_ids)):
        tx.seen.update({("unclear", topic, key): (topic, key) in marked for key in keys})


async def unclear_topic(tx: Transaction, *, image_id: str, account_id: str) -> str | None:
    """Return the topic on which the newest fact about the image or the account could not be read; None if all is clear."""
    about = {("unclear", "image-facts", image_id), ("unclear", "account-facts", account_id)}
    if not about <= tx.seen.keys():
        await look_for_marks(tx, image_ids={image_id}, account_ids={account_id})
    return next((topic for _, topic, key in sorted(about) if tx.seen["unclear", topic, key]), None)
