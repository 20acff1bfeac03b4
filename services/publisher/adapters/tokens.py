"""Client tokens: a repeat of a request shares the first one's outcome (contracts, Requests and answers)."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.database.transaction import Transaction

WAITING_MAX: Final = 100
"""Repeats that may wait for one answer: they are all answered in the transaction that answers the first."""
_SWEPT_MAX: Final = 10
# One statement decides who is first: of two claims at once the second waits for the first one's row. A row that is a day old is
# taken over, unless its request still waits for an answer, which the repeats noted there are to get too.
_CLAIM: Final = """
    INSERT INTO client_tokens AS held (actor_kind, actor_id, type, region, token, content, used_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (actor_kind, actor_id, type, region, token) DO UPDATE
    SET content = excluded.content, used_at = excluded.used_at, answer = NULL, waiting = '{}'
    WHERE held.used_at <= excluded.used_at - interval '24 hours' AND held.answer IS NOT NULL
    RETURNING true
"""
_WHERE: Final = "WHERE actor_kind = $1 AND actor_id = $2 AND type = $3 AND region = $4 AND token = $5"
_HELD: Final = f"SELECT content, answer FROM client_tokens {_WHERE} FOR UPDATE"  # noqa: S608 - constants
_WAIT: Final = f"""
    UPDATE client_tokens SET waiting = array_append(waiting, $6) {_WHERE} AND cardinality(waiting) < $7 RETURNING true
"""  # noqa: S608 - constants
_SETTLE: Final = f"UPDATE client_tokens SET answer = $6 {_WHERE} RETURNING waiting"  # noqa: S608 - constants
# Every claim takes a few outlived rows along, so the table stays as large as a day's tokens without a task of its own.
_SWEEP: Final = """
    DELETE FROM client_tokens WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM client_tokens WHERE used_at <= $1::timestamptz - interval '24 hours' AND answer IS NOT NULL
        ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""


class TokenScope(NamedTuple):
    """Within what a token means the same request."""

    actor_kind: str
    actor_id: str
    type: str
    region: str
    token: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The first request with a token: digest of its content, and its answer as JSON once there is one."""

    content: bytes
    answer: str | None


async def claim_token(tx: Transaction, scope: TokenScope, content: bytes) -> Earlier | None:
    """Use a token for the request whose content has the digest `content`; returns the earlier request that uses it, if any."""
    await tx.connection.execute(_SWEEP, tx.now, _SWEPT_MAX)
    if await tx.connection.fetchval(_CLAIM, *scope, content, tx.now):
        return None
    row = await tx.connection.fetchrow(_HELD, *scope)
    return Earlier(row["content"], row["answer"])


async def wait_for_token(tx: Transaction, scope: TokenScope, request_id: str) -> bool:
    """Note that `request_id` gets the same answer as the first request with the token; False if too many wait for it already."""
    return bool(await tx.connection.fetchval(_WAIT, *scope, request_id, WAITING_MAX))


async def settle_token(tx: Transaction, scope: TokenScope, answer: str) -> list[str]:
    """Keep the first request's answer; returns the ids of the repeats that wait for it."""
    waiting = await tx.connection.fetchval(_SETTLE, *scope, answer)
    return list(waiting or ())
