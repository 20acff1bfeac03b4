"""Named points at which the crash suite kills a process, the broker or the database.

Without `IMAGE_COMMONS_FAULTS_DIR` in the environment every point is a no-op. With it, a file `armed/<point>` in that folder makes
the next process that reaches the point take the file (one rename: exactly one process wins, and the file in `hit/` proves that
the point was reached) and send SIGKILL to the victim that the file names: `self`, or the path of a file that holds a process id.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Final

_FOLDER: Final = os.environ.get("IMAGE_COMMONS_FAULTS_DIR")

CONSUMER_POINTS: Final = ("consume.before_commit", "consume.after_commit", "acknowledge.before", "acknowledge.after")
RELAY_POINTS: Final = ("relay.before_send", "relay.after_send", "relay.before_delete", "relay.after_delete")
TIMER_POINTS: Final = ("timer.before_commit", "timer.after_commit")
PARKED_POINTS: Final = ("parked.before_commit", "parked.after_commit")
CHECKER_POINTS: Final = ("claim.before_commit", "claim.after_commit", "report.before_commit", "report.after_commit")

POINTS: Final[dict[str, tuple[str, ...]]] = {
    "publisher": CONSUMER_POINTS + RELAY_POINTS + TIMER_POINTS + PARKED_POINTS,
    "checker": CONSUMER_POINTS + RELAY_POINTS + CHECKER_POINTS,
    "catalog": CONSUMER_POINTS,
    "launcher": CONSUMER_POINTS + RELAY_POINTS + PARKED_POINTS,
}
"""Every point of every service, named `<service>.<point>` where it is armed; the crash suite enumerates this table."""


async def reach(point: str) -> None:
    """Die here, or kill the broker or the database here, if the crash suite armed `point` (`<service>.<what>.<when>`)."""
    if _FOLDER is not None and _strike(Path(_FOLDER), point):
        # The victim is another process: let the connections to it break before the step goes on.
        await asyncio.sleep(0)


def _strike(folder: Path, point: str) -> bool:
    armed, hit = folder / "armed" / point, folder / "hit" / point
    try:
        victim = armed.read_text().strip()
        process_id = os.getpid() if victim == "self" else int(Path(victim).read_text())
        if process_id == 0:  # the victim is dead already: the point stays armed until it can be killed here
            return False
        armed.rename(hit)
        os.kill(process_id, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
