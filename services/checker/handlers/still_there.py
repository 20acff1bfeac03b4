"""After a check: whether what was checked still lies at its location."""

import asyncio
from typing import Final

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.base import ContentChanged, Opened
from services.checker.handlers.check_file import CHANGED
from shared.contracts.report import Report

_RECHECK_S: Final = 60.0
_NOT_SEEN: Final = "it could not be seen whether the image's content changed while it was being checked"


async def still_there(report: Report, opened: Opened) -> Report:
    """Return `report`, not complete if other content lies at the location by now, or if that could not be seen."""
    if not report.complete:
        return report
    try:
        async with asyncio.timeout(_RECHECK_S):
            await opened.recheck()
    except ContentChanged:
        error = CHANGED
    except LocationRefused as refused:
        error = f"{_NOT_SEEN}: {refused}"
    except TimeoutError:
        error = f"{_NOT_SEEN} in time"
    else:
        return report
    return report.model_copy(update={"complete": False, "error": error})
