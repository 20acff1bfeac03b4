"""Reading what a request is decided on, under lock, and writing what was decided.

Lock order: image, account, instance (contracts.md, Consuming). Image and account are held FOR SHARE until the commit: an
unpublish that comes meanwhile waits, so whoever changes an image's instances after it sees every one that was launched before.
The image-events reader takes images alone, the account-events reader accounts alone and republish instances alone, each in key
order; `hold_in_order` does the same for a whole batch of requests, so none of them waits for another crosswise. Who changes an
instance's row are requests of its own key only, which come one after the other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from services.launcher.domain.copies import AccountCopy, Basis, ImageCopy, RootProduct
from services.launcher.domain.instance import Charge, Instance, SystemDisk
from shared.database.transaction import Transaction

_HOLD_IMAGES: Final = """
    SELECT FROM images WHERE image_id = ANY (ARRAY(
        SELECT unnest($1::text[]) UNION SELECT image_id FROM instances WHERE instance_id = ANY($2::text[])
    )) ORDER BY image_id FOR SHARE
"""
_HOLD_ACCOUNTS: Final = "SELECT FROM accounts WHERE account_id = ANY($1::text[]) ORDER BY account_id FOR SHARE"

_HOLD_INSTANCES: Final = "SELECT FROM instances WHERE instance_id = ANY($1::text[]) ORDER BY instance_id FOR UPDATE"

_IMAGE: Final = """
    SELECT image_id, sequence, region, owner_account_id, name, family, status, publication_id, image_digest, root_product,
        shared_with, created_at
    FROM images WHERE image_id = $1 FOR SHARE
"""
_ACCOUNT: Final = "SELECT account_id, sequence, status FROM accounts WHERE account_id = $1 FOR SHARE"
INSTANCE_COLUMNS: Final = """
    instances.instance_id, instances.account_id, region, instance_type, instances.disk_id, image_id, image_sequence, image_digest,
    publication_id, basis, launched_at, changed_at, released_at, release_reason,
    charge.charge_id, charge.disk_id AS charged_disk_id, charge.product_id, charge.fee_amount, charge.fee_currency,
    charge.opened_at, charge.closed_at
"""
LAST_CHARGE: Final = """
    LEFT JOIN LATERAL (
        SELECT * FROM charges WHERE charges.instance_id = instances.instance_id ORDER BY opened_at DESC, charge_id DESC LIMIT 1
    ) AS charge ON true
"""
_GLANCE: Final = f"SELECT {INSTANCE_COLUMNS} FROM instances {LAST_CHARGE} WHERE instances.instance_id = $1"  # noqa: S608
_INSTANCE: Final = f"{_GLANCE} FOR UPDATE OF instances"
_HOLD_PAGE: Final = "SELECT instance_id FROM instances WHERE instance_id > $1 ORDER BY instance_id LIMIT $2 FOR UPDATE"
_PAGE: Final = f"""
    SELECT {INSTANCE_COLUMNS} FROM instances {LAST_CHARGE}
    WHERE instances.instance_id = ANY($1::text[]) ORDER BY instances.instance_id
"""  # noqa: S608 - constants
# The newest image of the line that the account sees and that could be launched without a warning; what is unclear is not there.
_NEWEST_OF_FAMILY: Final = """
    SELECT image_id FROM images
    WHERE region = $1 AND owner_account_id = $2 AND family = $3 AND status = 'Available'
    AND (owner_account_id = $4 OR $4 = ANY (shared_with) OR publication_id IS NOT NULL)
    AND image_id NOT IN (SELECT key FROM reader_keys WHERE topic = 'image-events' AND unclear)
    ORDER BY created_at DESC, image_id DESC LIMIT 1
"""
_BOOK: Final = """
    INSERT INTO instances (instance_id, account_id, region, instance_type, state, disk_id, image_id, image_sequence, image_digest,
        publication_id, basis, launched_at, changed_at)
    VALUES ($1, $2, $3, $4, 'launched', $5, $6, $7, $8, $9, $10, $11, $11)
"""
_CHANGE: Final = """
    UPDATE instances SET state = $2, disk_id = $3, image_id = $4, image_sequence = $5, image_digest = $6, publication_id = $7,
        basis = $8, changed_at = $9, released_at = $10, release_reason = $11
    WHERE instance_id = $1
"""
_OPEN_CHARGE: Final = """
    INSERT INTO charges (charge_id, instance_id, disk_id, product_id, fee_amount, fee_currency, opened_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_CLOSE_CHARGE: Final = "UPDATE charges SET closed_at = GREATEST($2, opened_at) WHERE charge_id = $1 AND closed_at IS NULL"


@dataclass(frozen=True, slots=True)
class Books:
    """The launcher's tables, within the transaction of one request."""

    tx: Transaction

    async def image(self, image_id: str) -> ImageCopy | None:
        """Return the copy of an image, held; None if nothing is known of it, or what is known is unclear.

        The mark is asked for once the row is held: within the locking statement it would be as of before the wait for the lock.
        """
        row = await self.tx.connection.fetchrow(_IMAGE, image_id)
        return None if row is None or await self.tx.is_unclear("image-events", image_id) else _image_of(row)

    async def account(self, account_id: str) -> AccountCopy | None:
        """Return the copy of an account, held; None if nothing is known of it, or what is known is unclear (asked as above)."""
        row = await self.tx.connection.fetchrow(_ACCOUNT, account_id)
        if row is None or await self.tx.is_unclear("account-events", account_id):
            return None
        return AccountCopy(row["account_id"], row["sequence"], row["status"])

    async def glance(self, instance_id: str) -> Instance | None:
        """Return an instance as it is now, not held; None if the id was never used."""
        row = await self.tx.connection.fetchrow(_GLANCE, instance_id)
        return None if row is None else instance_of(row)

    async def instance(self, instance_id: str) -> Instance | None:
        """Return an instance, locked for change; None if the id was never used."""
        row = await self.tx.connection.fetchrow(_INSTANCE, instance_id)
        return None if row is None else instance_of(row)

    async def newest_of_family(self, family: str, *, account_id: str, region: str) -> str | None:
        """Return the id of the newest Available image of a family that the account sees, None if there is none.

        For its owner a family is its plain name, for everybody else `acs:<publisher account>:<family>`.
        """
        owner = account_id
        if family.startswith("acs:"):
            _, owner, family = (*family.split(":", 2), "", "")[:3]
        found = await self.tx.connection.fetchval(_NEWEST_OF_FAMILY, region, owner, family, account_id)
        return None if found is None else str(found)

    async def book(self, instance: Instance) -> None:
        """Enter a new instance and the charge it opens. Raises `asyncpg.UniqueViolationError` if the id was used after all."""
        disk = instance.disk
        await self.tx.connection.execute(
            _BOOK,
            instance.instance_id,
            instance.account_id,
            instance.region,
            instance.instance_type,
            disk.disk_id,
            disk.image_id,
            disk.image_sequence,
            disk.image_digest,
            disk.publication_id,
            disk.basis,
            instance.launched_at,
        )
        if instance.charge is not None:
            await self._open(instance.instance_id, instance.charge)

    async def change(self, before: Instance, after: Instance) -> None:
        """Write `after` over `before`: the charge that ended is closed first, since an instance has one open at most."""
        disk = after.disk
        await self.tx.connection.execute(
            _CHANGE,
            after.instance_id,
            after.state,
            disk.disk_id,
            disk.image_id,
            disk.image_sequence,
            disk.image_digest,
            disk.publication_id,
            disk.basis,
            after.changed_at,
            after.released_at,
            after.release_reason,
        )
        if before.charge == after.charge:
            return
        same = before.charge is not None and after.charge is not None and before.charge.charge_id == after.charge.charge_id
        if before.charge is not None:
            ended = after.charge.closed_at if same and after.charge is not None else after.changed_at
            await self.tx.connection.execute(_CLOSE_CHARGE, before.charge.charge_id, ended)
        if after.charge is not None and not same:
            await self._open(after.instance_id, after.charge)

    async def _open(self, instance_id: str, charge: Charge) -> None:
        await self.tx.connection.execute(
            _OPEN_CHARGE,
            charge.charge_id,
            instance_id,
            charge.disk_id,
            charge.product_id,
            charge.fee,
            charge.currency,
            charge.opened_at,
        )


async def hold_in_order(tx: Transaction, *, images: Sequence[str], accounts: Sequence[str], instances: Sequence[str]) -> None:
    """Hold what a batch of requests will be decided on, in the order of keys that every other writer keeps."""
    await tx.connection.execute(_HOLD_IMAGES, images, instances)
    await tx.connection.execute(_HOLD_ACCOUNTS, accounts)
    await tx.connection.execute(_HOLD_INSTANCES, instances)


async def page_of_instances(tx: Transaction, after: str, count_max: int) -> list[Instance]:
    """Return up to `count_max` instances that follow `after` in key order, locked.

    Read by a statement of its own once they are locked: in the locking one the charges would be as of before the wait.
    """
    held = await tx.connection.fetch(_HOLD_PAGE, after, count_max)
    rows = await tx.connection.fetch(_PAGE, [row["instance_id"] for row in held])
    return [instance_of(row) for row in rows]


def _image_of(row: Mapping[str, Any]) -> ImageCopy:
    product = None if row["root_product"] is None else json.loads(row["root_product"])
    return ImageCopy(
        image_id=row["image_id"],
        sequence=row["sequence"],
        region=row["region"],
        owner_account_id=row["owner_account_id"],
        name=row["name"],
        status=row["status"],
        created_at=row["created_at"],
        family=row["family"],
        publication_id=row["publication_id"],
        image_digest=row["image_digest"],
        root_product=None if product is None else RootProduct(product["id"], Decimal(product["amount"]), product["currency"]),
        shared_with=frozenset(row["shared_with"]),
    )


def instance_of(row: Mapping[str, Any]) -> Instance:
    """Return the instance that a row of `INSTANCE_COLUMNS` holds."""
    charge = None
    if row["charge_id"] is not None:
        charge = Charge(
            charge_id=row["charge_id"],
            disk_id=row["charged_disk_id"],
            product_id=row["product_id"],
            fee=row["fee_amount"],
            currency=row["fee_currency"],
            opened_at=row["opened_at"],
            closed_at=row["closed_at"],
        )
    return Instance(
        instance_id=row["instance_id"],
        account_id=row["account_id"],
        region=row["region"],
        disk=SystemDisk(
            disk_id=row["disk_id"],
            image_id=row["image_id"],
            image_sequence=row["image_sequence"],
            image_digest=row["image_digest"],
            publication_id=row["publication_id"],
            basis=Basis(row["basis"]),
        ),
        launched_at=row["launched_at"],
        changed_at=row["changed_at"],
        instance_type=row["instance_type"],
        released_at=row["released_at"],
        release_reason=row["release_reason"],
        charge=charge,
    )
