"""From a location to an open image: the source of its scheme, within the time that is left."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from services.checker.adapters.locations import LocationRefused, open_location
from services.checker.adapters.sources.base import ContentChanged, Opened, Source, Wanted, shown
from shared.contracts.content_version import content_version_of
from shared.telemetry.logs import get_logger

logger = get_logger(__name__)


class FileSource:
    """Opens files beneath folders; nothing is fetched, so the file itself must not change."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots

    async def open(self, wanted: Wanted) -> Opened:
        """Open the file; raises `LocationRefused`."""
        descriptor = open_location(wanted.location, self._roots)
        version = content_version_of(os.fstat(descriptor))
        return Opened(descriptor, version, version, lambda: os.close(descriptor))


async def open_image(sources: dict[str, Source], wanted: Wanted) -> Opened:
    """Open the image at `wanted.location` from the one of `sources` that has its scheme; raises `LocationRefused`.

    What is raised names the location, without its query, which may be a capability.
    """
    scheme = wanted.location.partition(":")[0].lower()
    if scheme == "file":
        # This source names the location itself.
        return await sources[scheme].open(wanted)
    source = sources.get(scheme)
    if source is None:
        message = f"{named(wanted.location)}: only locations of {', '.join(f'{each}://' for each in sources)} are opened"
        raise LocationRefused(message)
    done = detail = ""

    def on_progress(phase: str, part: int, whole: int) -> None:
        nonlocal done
        done = f": {part} of {whole} bytes came"
        wanted.on_progress(phase, part, whole)

    told = Wanted(wanted.location, wanted.content_version, wanted.until, on_progress)
    left_s = max(0.0, wanted.until - time.monotonic())
    try:
        async with asyncio.timeout(left_s):
            return await source.open(told)
    except ContentChanged:
        raise
    except LocationRefused as error:
        message, detail = f"{named(wanted.location)}: {error}", error.detail
    except TimeoutError:
        message = f"{named(wanted.location)}: it was not fetched in the time of a check{done}"
    except OSError as error:
        # Where the spool lies is not the vendor's business.
        await logger.aerror("spool_failed", error=repr(error))
        message = f"{named(wanted.location)}: the checker cannot keep what it fetches: ask the operator"
    raise LocationRefused(message, detail=detail) from None


def named(location: str) -> str:
    """Return `location` as it may be told: without a user and without its query, which may be a capability."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return shown(location)
    return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
