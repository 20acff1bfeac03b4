"""Marks of what could not be read."""

from typing import Final

from shared.database.transaction import Transaction

_UNCLEAR: Final = """
    SELECT topic FROM reader_keys
    WHERE unclear AND ((topic = 'image-facts' AND key = $1) OR (topic = 'account-facts' AND key = $2)) LIMIT 1
"""


async def unclear_topic(tx: Transaction, *, image_id: str, account_id: str) -> str | None:
    """Return the topic on which the newest fact about the image or the account could not be read; None if all is clear."""
    topic: str | None = await tx.connection.fetchval(_UNCLEAR, image_id, account_id)
    return topic
