"""The life of a publication (domain, States)."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.publisher.domain.model import Publication
from shared.contracts.image_events import PublicationState

REASON_CHARACTERS_MAX: Final = 256

MOVES: Final[dict[PublicationState, frozenset[PublicationState]]] = {
    "checking": frozenset({"check_failed", "withdrawn", "published", "taken_down"}),
    "published": frozenset({"unpublished", "taken_down"}),
    "rejected": frozenset(),
    "check_failed": frozenset(),
    "withdrawn": frozenset(),
    "unpublished": frozenset(),
    "taken_down": frozenset(),
}
"""From each state to those that may follow; a publication begins as `rejected` or as `checking`."""


class IllegalMoveError(Exception):
    """A publication was to go where none goes: a fault of this program, never of a request."""


def moved(publication: Publication, state: PublicationState, *, now: datetime, reason: str | None = None) -> Publication:
    """Return `publication` in `state` since `now`; raises `IllegalMoveError` if it cannot go there."""
    if state not in MOVES[publication.state]:
        message = f"publication {publication.publication_id}: {publication.state} to {state}"
        raise IllegalMoveError(message)
    shown = None if reason is None else reason[:REASON_CHARACTERS_MAX]
    return replace(publication, state=state, since=now, reason=shown)
