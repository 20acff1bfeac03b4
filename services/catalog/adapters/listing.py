"""The list of images an account sees in a region: visibility is part of the statement, never applied to its answer.

What an account sees is the union of three lists: its own, those shared with it, the community images of the region. Each is
read from an index in the order asked for, `limit + 1` rows at most, and the three are merged; so a page costs the same at any
depth and any number of images. An image in several lists appears once, under the strongest relation (own, then shared, then
community).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Place = tuple[datetime, str]
"""`created_at` and id of the image after which a page begins."""

# Not a join: a hashed set, built once, keeps the order in which the index gives the rows. Unclear images are few.
_CLEAR: Final = "images.image_id NOT IN (SELECT key FROM reader_keys WHERE topic = 'image-events' AND unclear)"
_COLUMNS: Final = "images.created_at, images.image_id, images.shown, images.shown_to_owner"
_AS_OF: Final = "SELECT max(decided_at) FROM applied"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the images that `account_id` sees in `region`, narrowed by whatever else is not None."""

    region: str
    account_id: str
    limit: int
    after: Place | None = None
    owner: str | None = None
    status: str | None = None
    os_version: str | None = None
    architecture: str | None = None
    name: str | None = None

    def statement(self) -> tuple[str, Sequence[Any]]:
        """Return the SQL text and its arguments; the text varies only in which clauses are there, and the limit."""
        arguments: list[Any] = [self.region, self.account_id]
        clauses = [_CLEAR]
        for column, value in (
            ("owner_account_id", self.owner),
            ("status", self.status),
            ("os_version", self.os_version),
            ("architecture", self.architecture),
            ("name", self.name),
        ):
            if value is not None:
                arguments.append(value)
                clauses.append(f"images.{column} = ${len(arguments)}")
        if self.status is not None and self.status != "Available":
            # Says what the parameter hides from the planner, so that the small index of such images applies.
            clauses.append("images.status <> 'Available'")
        ordered = self._ordered("images", arguments)
        return self._merged(" AND ".join(clauses), ordered), arguments

    def _ordered(self, table: str, arguments: list[Any]) -> dict[str, str]:
        """Return the cursor clause, by the table whose index gives the order."""
        if self.after is None:
            return {table: "", "image_shares": ""}
        arguments.extend(self.after)
        time, key = len(arguments) - 1, len(arguments)
        return {name: f" AND ({name}.created_at, {name}.image_id) < (${time}, ${key})" for name in (table, "image_shares")}

    def _merged(self, clauses: str, after: dict[str, str]) -> str:
        limit = int(self.limit) + 1
        newest = "ORDER BY {0}.created_at DESC, {0}.image_id DESC LIMIT " + str(limit)
        lists = []
        if self.owner is None or self.owner == self.account_id:
            lists.append(
                f"(SELECT 1 AS strength, {_COLUMNS} FROM images WHERE images.region = $1 "  # noqa: S608 - see statement()
                f"AND images.owner_account_id = $2 AND images.status <> 'Deleted' AND {clauses}{after['images']} "
                f"{newest.format('images')})"
            )
        if self.owner != self.account_id:
            lists.append(
                f"(SELECT 2 AS strength, {_COLUMNS} FROM image_shares JOIN images USING (image_id) "  # noqa: S608
                f"WHERE image_shares.account_id = $2 AND image_shares.region = $1 AND images.region = $1 "
                f"AND images.status <> 'Deleted' AND {clauses}{after['image_shares']} {newest.format('image_shares')})"
            )
            lists.append(
                f"(SELECT 3 AS strength, {_COLUMNS} FROM images WHERE images.region = $1 AND images.community "  # noqa: S608
                f"AND {clauses}{after['images']} {newest.format('images')})"
            )
        union = " UNION ALL ".join(lists)
        return (
            f"SELECT ({_AS_OF}) AS as_of, page.* FROM (SELECT) AS always LEFT JOIN ("  # noqa: S608
            f"SELECT DISTINCT ON (created_at, image_id) * FROM ({union}) AS visible "
            f"ORDER BY created_at DESC, image_id DESC, strength LIMIT {limit}) AS page ON true "
            "ORDER BY page.created_at DESC, page.image_id DESC"
        )


ONE_IMAGE: Final = f"""
    SELECT ({_AS_OF}) AS as_of, one.* FROM (SELECT) AS always LEFT JOIN (
        SELECT CASE WHEN images.owner_account_id = $3 THEN 1 WHEN shared.held THEN 2 ELSE 3 END AS strength, {_COLUMNS}
        FROM images CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM image_shares WHERE image_id = images.image_id AND account_id = $3) AS held
        ) AS shared
        WHERE images.image_id = $1 AND images.region = $2 AND images.status <> 'Deleted'
        AND (images.owner_account_id = $3 OR shared.held OR images.community)
        AND NOT EXISTS (SELECT FROM reader_keys WHERE topic = 'image-events' AND key = images.image_id AND unclear)
    ) AS one ON true
"""  # noqa: S608 - constants only
"""The image `$1` if the account `$3` sees it in region `$2`; a row without an image otherwise. One snapshot, one answer."""
