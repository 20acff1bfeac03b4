"""Images: one row holds the aggregate, and its lock is the image's lock."""

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from services.publisher.adapters.absent import hold_absence
from services.publisher.adapters.publications import find_publication, find_publications
from services.publisher.domain.model import Image, Publication
from shared.contracts.facts import Claims, RootProduct
from shared.contracts.image_events import CheckView, TakenDown
from shared.database.transaction import Transaction

_STATED: Final = (
    "region", "owner_account_id", "name", "description", "family", "status", "encrypted", "location", "content_version", "format",
    "size_bytes", "created_at", "derived_from", "root_product", "claims", "registered",
)  # fmt: skip
_DECIDED: Final = (
    "shared_with", "tags", "checked", "deprecated_at", "taken_down_at", "taken_down_reason", "publication_id",
)  # fmt: skip
_COLUMNS: Final = ("image_id", *_STATED, *_DECIDED)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM images"  # noqa: S608 - constants
_FIND: Final = f"{_SELECT} WHERE image_id = $1 FOR UPDATE"
_PAGE: Final = f"{_SELECT} WHERE image_id > $1 ORDER BY image_id LIMIT $2 FOR UPDATE"
_LOCK: Final = f"{_SELECT} WHERE image_id = ANY($1::text[]) ORDER BY image_id FOR UPDATE"
_SAVE: Final = f"""
    INSERT INTO images ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${place}" for place in range(1, len(_COLUMNS) + 1))})
    ON CONFLICT (image_id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in (*_STATED, *_DECIDED))}
"""  # noqa: S608 - constants


async def find_image(tx: Transaction, image_id: str) -> Image | None:
    """Return the image, its row locked FOR UPDATE until the end of the transaction: every decision about it waits for this one.

    The publication is read by a statement of its own, after the lock: joined to the locking one it would come from before that.
    """
    seen: Image | None = tx.seen.get(("image", image_id))
    if seen is not None:
        return seen
    row = await tx.connection.fetchrow(_FIND, image_id)
    if row is None:
        return None
    publication = None if row["publication_id"] is None else await find_publication(tx, row["publication_id"])
    return _image(row, publication)


async def find_image_or_hold(tx: Transaction, image_id: str) -> Image | None:
    """Return the image, locked; None means that it does not exist and that nobody makes it before this transaction ends."""
    looked_for = ("image", image_id) in tx.seen
    image = tx.seen[("image", image_id)] if looked_for else await find_image(tx, image_id)
    if image is None:
        await hold_absence(tx, "images", image_id)
        image = await find_image(tx, image_id)
    return image


async def save_image(tx: Transaction, image: Image) -> None:
    """Write the image, whose row or absence this transaction holds. Its publication must be there already."""
    taken_down = image.taken_down
    await tx.connection.execute(
        _SAVE,
        image.image_id,
        image.region,
        image.owner_account_id,
        image.name,
        image.description,
        image.family,
        image.status,
        image.encrypted,
        image.location,
        image.content_version,
        image.format,
        image.size_bytes,
        image.created_at,
        image.derived_from,
        _json(image.root_product),
        _json(image.claims),
        image.registered,
        list(image.shared_with),
        json.dumps(dict(image.tags)),
        _json(image.check),
        image.deprecated_at,
        None if taken_down is None else taken_down.since,
        None if taken_down is None else taken_down.reason,
        None if image.publication is None else image.publication.publication_id,
    )
    tx.seen["image", image.image_id] = image


async def lock_images(tx: Transaction, image_ids: set[str]) -> None:
    """Lock and read all of `image_ids` that exist, in key order, so that two batches never wait for each other crosswise."""
    tx.seen.update(dict.fromkeys((("image", image_id) for image_id in image_ids), None))
    for image in await _images(tx, await tx.connection.fetch(_LOCK, sorted(image_ids))):
        tx.seen["image", image.image_id] = image


def owners_of(tx: Transaction, image_ids: set[str]) -> set[str]:
    """Return the owners of those of `image_ids` that `lock_images` found; an owner never changes."""
    found: list[Image | None] = [tx.seen.get(("image", image_id)) for image_id in image_ids]
    return {image.owner_account_id for image in found if image is not None}


async def page_of_images(tx: Transaction, after: str, count_max: int) -> Sequence[Image]:
    """Return up to `count_max` images that follow `after` in key order, locked."""
    return await _images(tx, await tx.connection.fetch(_PAGE, after, count_max))


async def _images(tx: Transaction, rows: Sequence[Any]) -> list[Image]:
    """Return the images of `rows`, which are locked, with their publications."""
    publications = await find_publications(tx, [row["publication_id"] for row in rows if row["publication_id"] is not None])
    return [_image(row, publications.get(row["publication_id"])) for row in rows]


def _json(model: BaseModel | None) -> str | None:
    return None if model is None else model.model_dump_json(exclude_none=True)


def _image(row: Any, publication: Publication | None) -> Image:  # noqa: ANN401 - asyncpg.Record is untyped
    taken_down = None
    if row["taken_down_at"] is not None:
        taken_down = TakenDown(since=row["taken_down_at"], reason=row["taken_down_reason"])
    return Image(
        image_id=row["image_id"],
        **{name: row[name] for name in _STATED if name not in {"root_product", "claims"}},
        root_product=None if row["root_product"] is None else RootProduct.model_validate_json(row["root_product"]),
        claims=None if row["claims"] is None else Claims.model_validate_json(row["claims"]),
        shared_with=tuple(row["shared_with"]),
        tags=json.loads(row["tags"]),
        check=None if row["checked"] is None else CheckView.model_validate_json(row["checked"]),
        deprecated_at=row["deprecated_at"],
        taken_down=taken_down,
        publication=publication,
    )
