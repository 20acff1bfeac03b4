"""Image events become the read model."""

import zlib
from collections.abc import Sequence
from typing import Any, Final

from services.catalog.adapters.images import forget, note_applied, store
from services.catalog.domain.projection import project
from shared.contracts.envelope import Event
from shared.database.transaction import Transaction

_SLOTS: Final = 16


async def apply_image_events(tx: Transaction, events: Sequence[Event[Any]]) -> None:
    """Fold `events` to the newest state of each image and keep that: what came between is of no use to a read model.

    Every record carries the whole public state, so its type does not matter. An image whose newest record says `state: null`
    does not exist, and nothing is kept of it.
    """
    newest: dict[str, Event[Any]] = {}
    for event in events:
        held = newest.get(event.subject)
        if held is None or (event.sequence or 0) > (held.sequence or 0):
            newest[event.subject] = event
    if not newest:
        return
    gone, rows = [], []
    for image_id in sorted(newest):
        event = newest[image_id]
        sequence = event.sequence or 0
        if event.data.state is None:
            gone.append((image_id, sequence))
        else:
            rows.append(project(event.data.state, sequence))
    await forget(tx, gone)
    await store(tx, rows)
    # Any slot will do; one that differs between partitions spares their readers a wait.
    slot = zlib.crc32(min(newest).encode()) % _SLOTS
    await note_applied(tx, slot, max(event.time for event in events))
