"""Publications and their history. Every statement here runs under the lock of the publication's image."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from services.publisher.domain.model import Publication
from shared.contracts.answers import Problem
from shared.contracts.requests import Actor, ChangeNotes
from shared.database.transaction import Transaction

_COLUMNS: Final = (
    "publication_id", "image_id", "region", "account_id", "state", "since", "reason", "name", "description", "change_notes",
    "family", "request_id", "requested_at", "check_id", "check_sequence", "location", "content_version", "deadline_at",
    "client_token",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM publications WHERE publication_id"  # noqa: S608 - constants
_NOTED: Final = """
    INSERT INTO publication_transitions
        (publication_id, state, at, actor_kind, actor_id, request_id, reason, policy_version, problems)
"""
# One round trip for the row and its history. The history refers to the row made beside it: foreign keys are checked at the end.
_OPEN: Final = f"""
    WITH opened AS (
        INSERT INTO publications ({", ".join(_COLUMNS)})
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
    )
    {_NOTED} VALUES ($1, $5, $6, $20, $21, $12, $7, $22, $23)
"""  # noqa: S608 - constants
_MOVE: Final = f"""
    WITH moved AS (UPDATE publications SET state = $2, since = $3, reason = $7, check_sequence = $10 WHERE publication_id = $1)
    {_NOTED} VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""  # noqa: S608 - constants
_PROBLEMS: Final = TypeAdapter(tuple[Problem, ...])


async def find_publication(tx: Transaction, publication_id: str) -> Publication:
    """Return the publication; raises `LookupError` if there is none."""
    row = await tx.connection.fetchrow(f"{_SELECT} = $1", publication_id)
    if row is None:
        raise LookupError(publication_id)
    return _publication(row)


async def find_publications(tx: Transaction, publication_ids: Sequence[str]) -> Mapping[str | None, Publication]:
    """Return those of `publication_ids`, by id."""
    rows = await tx.connection.fetch(f"{_SELECT} = ANY($1::text[])", publication_ids)
    return {row["publication_id"]: _publication(row) for row in rows}


async def open_publication(
    tx: Transaction,
    publication: Publication,
    *,
    actor: Actor,
    policy_version: str | None = None,
    problems: Sequence[Problem] = (),
) -> None:
    """Write a new publication and the first line of its history.

    Raises `asyncpg.UniqueViolationError` for a second live one of an image, which the lock on the image's row excludes.
    """
    _forget_image(tx, publication)
    await tx.connection.execute(
        _OPEN,
        publication.publication_id,
        publication.image_id,
        publication.region,
        publication.account_id,
        publication.state,
        publication.since,
        publication.reason,
        publication.name,
        publication.description,
        None if publication.change_notes is None else publication.change_notes.model_dump_json(),
        publication.family,
        publication.request_id,
        publication.requested_at,
        publication.check_id,
        publication.check_sequence,
        publication.location,
        publication.content_version,
        publication.deadline_at,
        publication.client_token,
        actor.kind,
        actor.id,
        policy_version,
        _json(problems),
    )


async def move_publication(
    tx: Transaction,
    publication: Publication,
    *,
    actor: Actor,
    request_id: str | None = None,
    policy_version: str | None = None,
    problems: Sequence[Problem] = (),
) -> None:
    """Write the state that `publication` moved to, and its line of history."""
    _forget_image(tx, publication)
    await tx.connection.execute(
        _MOVE,
        publication.publication_id,
        publication.state,
        publication.since,
        actor.kind,
        actor.id,
        request_id,
        publication.reason,
        policy_version,
        _json(problems),
        publication.check_sequence,
    )


async def count_job_event(tx: Transaction, publication: Publication) -> None:
    """Write down the sequence of the last event sent about the publication's check job."""
    _forget_image(tx, publication)
    await tx.connection.execute(
        "UPDATE publications SET check_sequence = $2 WHERE publication_id = $1",
        publication.publication_id,
        publication.check_sequence,
    )


def _forget_image(tx: Transaction, publication: Publication) -> None:
    """Forget the image as it was read: its publication is another from now on. `save_image` notes it anew."""
    tx.seen.pop(("image", publication.image_id), None)


def _json(problems: Sequence[Problem]) -> str:
    return _PROBLEMS.dump_json(tuple(problems), exclude_none=True).decode()


def _publication(row: Any) -> Publication:  # noqa: ANN401 - asyncpg.Record is untyped
    values = {name: row[name] for name in _COLUMNS}
    if values["change_notes"] is not None:
        values["change_notes"] = ChangeNotes.model_validate_json(values["change_notes"])
    return Publication(**values)
