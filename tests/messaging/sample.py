"""The service under test: small, with a migration of its own, and nothing in it that production services do not do.

It keeps accounts from facts, tells of each on `account-events`, answers permit requests, and writes down every effect.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.contracts.account_events import AccountKnown
from shared.contracts.envelope import Event
from shared.contracts.facts import AccountStated
from shared.contracts.requests import PermitRequested
from shared.database.transaction import Timer, Transaction
from shared.messaging.handlers import EachHandler, Park, each


async def note(tx: Transaction, event_id: str, key: str, what: str) -> None:
    """Write down an effect; twice in the journal is twice done."""
    await tx.connection.execute("INSERT INTO journal (event_id, key, what) VALUES ($1, $2, $3)", event_id, key, what)


async def keep_account(tx: Transaction, event: Event[Any]) -> None:
    """Keep an account, and tell of it."""
    data = event.data
    if data.display_name == "fail":
        message = "the handler cannot take this one"
        raise LookupError(message)
    await tx.connection.execute(
        "INSERT INTO accounts (account_id, display_name, sequence, applied) VALUES ($1, $2, $3, 1) "
        "ON CONFLICT (account_id) DO UPDATE SET display_name = $2, sequence = $3, applied = accounts.applied + 1",
        data.account_id,
        data.display_name,
        event.sequence,
    )
    await note(tx, event.id, event.subject, "kept")
    tx.emit(known_of(data.account_id, data.display_name), key=data.account_id)


async def answer_permit(tx: Transaction, event: Event[Any]) -> None:
    """Answer once the account is known, or once it is sure not to be; with ticket `now`, at once."""
    found = await tx.connection.fetchval("SELECT true FROM accounts WHERE account_id = $1 FOR UPDATE", event.data.account_id)
    if event.data.ticket == "fail":
        message = "the handler cannot take this request"
        raise LookupError(message)
    if found is None and tx.may_park and event.data.ticket != "now":
        raise Park(needs=[("account-facts", event.data.account_id)])
    await note(tx, event.id, event.subject, f"{'permitted' if found else 'refused'} {event.data.ticket}")


async def journal_state(tx: Transaction, event: Event[Any]) -> None:
    """Write down a state event."""
    await note(tx, event.id, event.subject, f"state {event.sequence}")


async def remind(tx: Transaction, timer: Timer) -> None:
    """Write down a timer; one that is to repeat sets itself anew."""
    await note(tx, timer.kind, timer.key, "reminded")
    if timer.payload.get("repeat"):
        await tx.schedule(timer.kind, timer.key, due_at=tx.now + timedelta(hours=1), payload=timer.payload)


def known_of(account_id: str, display_name: str | None) -> AccountKnown:
    """Return the data of `account.known`."""
    state = {"account_id": account_id, "status": "active", "enterprise_verified": True, "display_name": display_name}
    return AccountKnown.model_validate({"state": state, "change": {}})


def accounts() -> EachHandler:
    """Return the handler of facts."""
    return each({AccountStated: keep_account})


def permits() -> EachHandler:
    """Return the handler of requests."""
    return each({PermitRequested: answer_permit})


def states() -> EachHandler:
    """Return the handler of state events."""
    return each({AccountKnown: journal_state})


async def swallow(_tx: Transaction, _events: Sequence[Event[Any]]) -> None:
    """Do nothing."""
