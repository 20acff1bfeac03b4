"""Client tokens: a repeat of a request is answered as the first was, and does nothing (contracts, Requests and answers).

Every request here is answered in the transaction that decides it, so there is never an answer to wait for.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from services.launcher.domain.decisions import InstanceRequest
from shared.contracts.envelope import Event
from shared.database.transaction import Transaction

_SWEPT_MAX: Final = 10
_FIND: Final = """
    SELECT content, answered_type, change FROM client_tokens
    WHERE actor_kind = $1 AND actor_id = $2 AND type = $3 AND region = $4 AND token = $5
    AND used_at > $6::timestamptz - interval '24 hours'
"""
# A row that is a day old is taken over. A younger one is of a request decided at the same time.
_KEEP: Final = """
    INSERT INTO client_tokens AS held (actor_kind, actor_id, type, region, token, used_at, content, answered_type, change)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (actor_kind, actor_id, type, region, token) DO UPDATE
    SET used_at = excluded.used_at, content = excluded.content, answered_type = excluded.answered_type, change = excluded.change
    WHERE held.used_at <= excluded.used_at - interval '24 hours'
    RETURNING true
"""
# Every use takes a few outlived rows along, so the table stays as large as a day's tokens without a task of its own.
_SWEEP: Final = """
    DELETE FROM client_tokens WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM client_tokens WHERE used_at <= $1::timestamptz - interval '24 hours'
        ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""


class TokenTaken(Exception):
    """Another request with the same token was decided meanwhile; decided anew, this one finds its answer."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The first request with a token: whether it asked for the same, the type of its answer, the answer's change as JSON."""

    same: bool
    answered_type: str
    change: str


def uses_token(event: Event[InstanceRequest]) -> bool:
    """Whether the request's token counts; a dry run uses none."""
    return event.data.client_token is not None and not event.data.dry_run


async def find_earlier(tx: Transaction, event: Event[InstanceRequest]) -> Earlier | None:
    """Return the request of the last 24 hours that used the token of `event`, if there is one."""
    row = await tx.connection.fetchrow(_FIND, *_scope(event), tx.now)
    return None if row is None else Earlier(row["content"] == _content(event), row["answered_type"], row["change"])


async def keep_answer(tx: Transaction, event: Event[InstanceRequest], answered_type: str, change: str) -> None:
    """Keep the answer to `event` for its repeats; raises `TokenTaken` if its token was used at the same time."""
    await tx.connection.execute(_SWEEP, tx.now, _SWEPT_MAX)
    if not await tx.connection.fetchval(_KEEP, *_scope(event), tx.now, _content(event), answered_type, change):
        raise TokenTaken(event.id)


def _scope(event: Event[InstanceRequest]) -> tuple[str, str, str, str, str]:
    data = event.data
    return data.actor.kind, data.actor.id, event.type, data.region, data.client_token or ""


def _content(event: Event[InstanceRequest]) -> bytes:
    return hashlib.sha256(event.data.model_dump_json(exclude={"client_token", "expires_at"}).encode()).digest()
