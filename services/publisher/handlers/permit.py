"""Permit: an operator grants an account the permission to publish, on a ticket."""

from dataclasses import replace

from services.publisher.adapters.accounts import find_account_or_hold, save_account
from services.publisher.domain.problems import problem
from services.publisher.domain.views import account_state
from services.publisher.handlers.admission import claim, judge_request
from services.publisher.handlers.answers import say
from shared.contracts.account_events import AccountChange, AccountPermitted, Permission
from shared.contracts.codes import Code
from shared.contracts.envelope import Event
from shared.contracts.requests import PermitRequested
from shared.database.transaction import Transaction
from shared.messaging.handlers import Park


async def permit(tx: Transaction, event: Event[PermitRequested]) -> None:
    """Handle `permit.requested`; granting again keeps the first grant's time and takes the new ticket."""
    account = await find_account_or_hold(tx, event.subject)
    problems = judge_request(tx, event, by_operator=True)
    if not problems and account is None:
        if tx.may_park:
            raise Park([("account-facts", event.subject)])
        problems = (problem(Code.ACCOUNT_NOT_FOUND, field="account_id", value=event.subject),)
    state = None if account is None else account_state(account)
    asked = await claim(tx, event, problems, state)
    if asked is None:
        return
    if problems or account is None:
        change = AccountChange(message=f"refused: 1 problem with {asked.key}", problems=problems, actor=asked.actor)
        await say(tx, asked, asked.refusal, state, change)
        return
    held = account.permission
    since = held.since if held is not None and held.state == "granted" else tx.now
    after = replace(account, permission=Permission(state="granted", ticket=event.data.ticket, since=since))
    if asked.dry_run:
        after = account
    else:
        await save_account(tx, after)
    change = AccountChange(message=f"{account.account_id} may publish, on {event.data.ticket}", actor=asked.actor)
    await say(tx, asked, AccountPermitted, account_state(after), change)
