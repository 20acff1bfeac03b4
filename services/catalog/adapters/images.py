"""Writing the read model: a whole batch in a few statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.catalog.domain.projection import ImageRow
from shared.database.transaction import Transaction

_COLUMNS: Final = (
    "image_id, sequence, region, owner_account_id, status, community, name, os_version, architecture, created_at, "
    "shown, shown_to_owner"
)
# One row a key in the batch, and only what is newer than what is kept: the plumbing lets nothing stale through, and a re-drive
# or a restored table that comes by another way finds the same guard here.
_STORE: Final = f"""
    INSERT INTO images AS kept ({_COLUMNS})
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::text[],
        $9::text[], $10::timestamptz[], $11::text[], $12::text[]) ORDER BY 1
    ON CONFLICT (image_id) DO UPDATE SET
        sequence = excluded.sequence, region = excluded.region, owner_account_id = excluded.owner_account_id,
        status = excluded.status, community = excluded.community, name = excluded.name, os_version = excluded.os_version,
        architecture = excluded.architecture, created_at = excluded.created_at, shown = excluded.shown,
        shown_to_owner = excluded.shown_to_owner
    WHERE excluded.sequence > kept.sequence
"""  # noqa: S608 - constants only
_FORGET: Final = """
    DELETE FROM images USING unnest($1::text[], $2::bigint[]) AS gone (image_id, sequence)
    WHERE images.image_id = gone.image_id AND images.sequence < gone.sequence
"""
# Shares of images whose state was taken from this batch; an image that kept a newer state keeps its shares.
_DROP_SHARES: Final = """
    DELETE FROM image_shares USING unnest($1::text[], $2::bigint[]) AS taken (image_id, sequence)
    WHERE image_shares.image_id = taken.image_id
    AND NOT EXISTS (SELECT FROM images WHERE images.image_id = taken.image_id AND images.sequence > taken.sequence)
"""
_ADD_SHARES: Final = """
    INSERT INTO image_shares (account_id, region, created_at, image_id)
    SELECT share.account_id, images.region, images.created_at, images.image_id
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS share (image_id, sequence, account_id)
    JOIN images ON images.image_id = share.image_id AND images.sequence = share.sequence
    ON CONFLICT DO NOTHING
"""
_NOTE: Final = """
    INSERT INTO applied AS known (slot, decided_at) VALUES ($1, $2)
    ON CONFLICT (slot) DO UPDATE SET decided_at = GREATEST(known.decided_at, excluded.decided_at)
"""


async def store(tx: Transaction, rows: Sequence[ImageRow]) -> None:
    """Keep `rows`, one an image at most, and their shares."""
    if not rows:
        return
    await tx.connection.execute(
        _STORE,
        [row.image_id for row in rows],
        [row.sequence for row in rows],
        [row.region for row in rows],
        [row.owner_account_id for row in rows],
        [row.status for row in rows],
        [row.community for row in rows],
        [row.name for row in rows],
        [row.os_version for row in rows],
        [row.architecture for row in rows],
        [row.created_at for row in rows],
        [row.shown for row in rows],
        [row.shown_to_owner for row in rows],
    )
    await tx.connection.execute(_DROP_SHARES, [row.image_id for row in rows], [row.sequence for row in rows])
    shares = [(row.image_id, row.sequence, account) for row in rows if row.status != "Deleted" for account in row.shared_with]
    if shares:
        images, sequences, accounts = zip(*shares, strict=True)
        await tx.connection.execute(_ADD_SHARES, images, sequences, accounts)


async def forget(tx: Transaction, keys: Sequence[tuple[str, int]]) -> None:
    """Keep nothing of images, given with the sequences of the events that say that they do not exist."""
    if not keys:
        return
    images, sequences = zip(*keys, strict=True)
    await tx.connection.execute(_DROP_SHARES, images, sequences)
    await tx.connection.execute(_FORGET, images, sequences)


async def note_applied(tx: Transaction, slot: int, decided_at: datetime) -> None:
    """Note in `slot` that an event decided at `decided_at` is part of the model from now on."""
    await tx.connection.execute(_NOTE, slot, decided_at)
