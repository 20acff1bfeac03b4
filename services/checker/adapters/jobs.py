"""The job table.

Our own, and not pgqueuer or procrastinate: both lease and retry well, but neither lets a job be completed under the number of its
claim in the very transaction that writes the report and the outbox row, nor keeps tombstones of jobs that were cancelled
before they came. What is left to write is the five statements here. Leases are measured by the database's clock.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.checks import CheckCancelled, CheckCompleted, CheckRequested
from shared.contracts.envelope import Event
from shared.database.transaction import Transaction

if TYPE_CHECKING:
    import asyncpg

# The oldest job that waits or whose lease ran out: under a backlog a job that lost its worker must not wait for all that came
# later. SKIP LOCKED: another worker's claim under way is not waited for; jobs have no order among themselves. MATERIALIZED: the
# planner may run a plain subquery again for each row, and each time it would lock another job.
_CLAIM: Final = """
    WITH next AS MATERIALIZED (
        SELECT check_id FROM check_jobs
        WHERE state = 'waiting' OR (state = 'running' AND lease_until < clock_timestamp())
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE check_jobs AS job SET
        state = 'running', claim_number = claim_number + 1, lease_until = clock_timestamp() + make_interval(secs => $1)
    FROM next WHERE job.check_id = next.check_id
    RETURNING job.check_id, job.image_id, job.request, job.claim_number, job.correlation_id, job.traceparent
"""
_RENEW: Final = """
    UPDATE check_jobs SET lease_until = clock_timestamp() + make_interval(secs => $3)
    WHERE check_id = $1 AND claim_number = $2 AND state = 'running'
"""
_PROGRESS: Final = """
    UPDATE check_jobs SET phase = $3, done = $4, total = $5, result_sequence = result_sequence + 1
    WHERE check_id = $1 AND claim_number = $2 AND state = 'running' RETURNING result_sequence
"""
_COMPLETE: Final = """
    UPDATE check_jobs SET
        state = 'completed', result = $3, result_sequence = result_sequence + 1,
        lease_until = NULL, finished_at = clock_timestamp()
    WHERE check_id = $1 AND claim_number = $2 AND state = 'running' RETURNING result_sequence
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in this worker's hands, as long as `number` is its current claim."""

    check_id: str
    image_id: str
    number: int
    request: CheckRequested
    correlation_id: str | None
    traceparent: str | None


async def add_job(tx: Transaction, event: Event[CheckRequested]) -> bool:
    """Add the job, unless it is known already, or cancelled; returns whether it was added."""
    request = event.data
    tag = await tx.connection.execute(
        "INSERT INTO check_jobs (check_id, image_id, state, request, correlation_id, traceparent) "
        "VALUES ($1, $2, 'waiting', $3, $4, $5) ON CONFLICT (check_id) DO NOTHING",
        request.check_id,
        request.image_id,
        request.model_dump_json(exclude_none=True),
        event.correlation_id,
        event.traceparent,
    )
    return bool(tag == "INSERT 0 1")


async def completion_of(tx: Transaction, check_id: str) -> tuple[CheckCompleted, int, str | None] | None:
    """Return the stored result of a completed check, with a new sequence and its correlation id; None if it has none."""
    row = await tx.connection.fetchrow(
        "UPDATE check_jobs SET result_sequence = result_sequence + 1 WHERE check_id = $1 AND state = 'completed' "
        "RETURNING result, result_sequence, correlation_id",
        check_id,
    )
    if row is None:
        return None
    return CheckCompleted.model_validate_json(row["result"]), row["result_sequence"], row["correlation_id"]


async def cancel_job(tx: Transaction, request: CheckCancelled) -> None:
    """Cancel the job, or leave a tombstone for one that is still to come; what is completed stays."""
    await tx.connection.execute(
        "INSERT INTO check_jobs AS job (check_id, image_id, state) VALUES ($1, $2, 'cancelled') "
        "ON CONFLICT (check_id) DO UPDATE SET state = 'cancelled', lease_until = NULL, finished_at = clock_timestamp() "
        "WHERE job.state IN ('waiting', 'running')",
        request.check_id,
        request.image_id,
    )


async def claim_job(tx: Transaction, lease_s: float) -> Claim | None:
    """Claim the oldest job that waits, or whose lease ran out; None if there is none."""
    row = await tx.connection.fetchrow(_CLAIM, lease_s)
    if row is None:
        return None
    return Claim(
        check_id=row["check_id"],
        image_id=row["image_id"],
        number=row["claim_number"],
        request=CheckRequested.model_validate_json(row["request"]),
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
    )


async def renew_claim(pool: "asyncpg.Pool[Any]", claim: Claim, lease_s: float) -> bool:
    """Renew the lease; False if the claim is not the current one any more."""
    tag = await pool.execute(_RENEW, claim.check_id, claim.number, lease_s)
    return bool(tag == "UPDATE 1")


async def note_progress(tx: Transaction, claim: Claim, phase: str, done: int, total: int) -> int | None:
    """Note progress; returns the result sequence to send it with, None if the claim is not the current one any more."""
    found = await tx.connection.fetchval(_PROGRESS, claim.check_id, claim.number, phase, done, total)
    return None if found is None else int(found)


async def complete_job(tx: Transaction, claim: Claim, result: CheckCompleted) -> int | None:
    """Complete the job; returns the result sequence to send it with, None if the claim is not the current one any more."""
    found = await tx.connection.fetchval(_COMPLETE, claim.check_id, claim.number, result.model_dump_json(exclude_none=True))
    return None if found is None else int(found)


async def store_report(
    tx: Transaction, *, report_id: str, check_id: str, image_digest: str, sha256: str, document: bytes
) -> None:
    """Store a report's exact bytes."""
    await tx.connection.execute(
        "INSERT INTO reports (report_id, check_id, image_digest, sha256, document) VALUES ($1, $2, $3, $4, $5)",
        report_id,
        check_id,
        image_digest,
        sha256,
        document,
    )


async def queue_state(pool: "asyncpg.Pool[Any]", *, timeout_s: float) -> tuple[int, float]:
    """Return how many checks wait, and the age of the oldest in seconds; raises `TimeoutError` after `timeout_s`."""
    row = await pool.fetchrow(
        "SELECT count(*) AS depth, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)), 0)::float8 AS age_s "
        "FROM check_jobs WHERE state = 'waiting'",
        timeout=timeout_s,
    )
    return (0, 0.0) if row is None else (row["depth"], row["age_s"])


def progress_document(row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg.Record is untyped
    """Return what a person may know of a check."""
    document = {name: row[name] for name in ("check_id", "image_id", "state", "phase", "done", "total")}
    result = json.loads(row["result"]) if row["result"] is not None else {}
    document |= {"claims": row["claim_number"], "report_id": result.get("report_id"), "error": result.get("error")}
    return {name: value for name, value in document.items() if value is not None}
