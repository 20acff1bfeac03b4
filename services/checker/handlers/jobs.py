"""Check jobs: written down, cancelled, or answered again. The consumer never waits for a check."""

from collections.abc import Callable

from services.checker.adapters.jobs import add_job, cancel_job, completion_of
from shared.contracts.checks import CheckCancelled, CheckRequested
from shared.contracts.envelope import Event
from shared.database.transaction import Transaction


class TakeJob:
    """Handles `check.requested`; `wake` tells the workers of this process, after the commit, that there is work."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    async def __call__(self, tx: Transaction, event: Event[CheckRequested]) -> None:
        """Write the job down; one that was completed before is answered again, one that was cancelled is left alone."""
        if await add_job(tx, event):
            tx.after_commit.append(self._wake)
            return
        done = await completion_of(tx, event.data.check_id)
        if done is not None:
            result, sequence, correlation_id = done
            tx.emit(result, key=result.image_id, sequence=sequence, correlation_id=correlation_id)


async def cancel(tx: Transaction, event: Event[CheckCancelled]) -> None:
    """Cancel a check: a worker that runs it finds out when it next renews its claim."""
    await cancel_job(tx, event.data)
