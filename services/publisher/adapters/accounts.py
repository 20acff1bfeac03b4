"""Accounts: rows, and the locks under which decisions rest on them."""

from typing import Any, Final, Literal

from services.publisher.adapters.absent import hold_absence
from services.publisher.domain.model import Account
from shared.contracts.account_events import Permission
from shared.database.transaction import Transaction

_COLUMNS: Final = "account_id, status, enterprise_verified, display_name, permission_state, permission_ticket, permission_since"
_SELECT: Final = f"SELECT {_COLUMNS} FROM accounts WHERE account_id = $1"  # noqa: S608 - constants
_LOCKS: Final = {"share": f"{_SELECT} FOR SHARE", "update": f"{_SELECT} FOR UPDATE"}
_SELECT_ALL: Final = f"SELECT {_COLUMNS} FROM accounts WHERE account_id = ANY($1::text[]) ORDER BY account_id"  # noqa: S608
_LOCK_ALL: Final = {"share": f"{_SELECT_ALL} FOR SHARE", "update": f"{_SELECT_ALL} FOR UPDATE"}
_SAVE: Final = f"""
    INSERT INTO accounts ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (account_id) DO UPDATE SET status = excluded.status, enterprise_verified = excluded.enterprise_verified,
        display_name = excluded.display_name, permission_state = excluded.permission_state,
        permission_ticket = excluded.permission_ticket, permission_since = excluded.permission_since
"""  # noqa: S608 - constants


async def find_account(tx: Transaction, account_id: str, lock: Literal["share", "update"]) -> Account | None:
    """Return the account, locked until the end of the transaction.

    FOR SHARE lets publications of one vendor's images go on side by side, while a fact or an operator's decision on the account
    waits for them: what was decided on the account's standing is committed before that standing changes.
    """
    seen: Account | None = tx.seen.get(("account", account_id, lock))
    if seen is not None:
        return seen
    row = await tx.connection.fetchrow(_LOCKS[lock], account_id)
    return None if row is None else _account(row)


async def find_account_or_hold(tx: Transaction, account_id: str) -> Account | None:
    """Return the account FOR UPDATE; None means that it does not exist and that nobody makes it before this transaction ends."""
    account = await find_account(tx, account_id, "update")
    if account is None:
        await hold_absence(tx, "accounts", account_id)
        account = await find_account(tx, account_id, "update")
    return account


async def save_account(tx: Transaction, account: Account) -> None:
    """Write the account, which this transaction holds FOR UPDATE or whose absence it holds."""
    permission = account.permission
    await tx.connection.execute(
        _SAVE,
        account.account_id,
        account.status,
        account.enterprise_verified,
        account.display_name,
        None if permission is None else permission.state,
        None if permission is None else permission.ticket,
        None if permission is None else permission.since,
    )
    tx.seen["account", account.account_id, "share"] = tx.seen["account", account.account_id, "update"] = account


async def lock_accounts(tx: Transaction, account_ids: set[str], lock: Literal["share", "update"]) -> None:
    """Lock and read all of `account_ids` that exist, in key order, so that two batches never wait for each other crosswise."""
    if account_ids:
        for row in await tx.connection.fetch(_LOCK_ALL[lock], sorted(account_ids)):
            tx.seen["account", row["account_id"], lock] = _account(row)


async def page_of_accounts(tx: Transaction, after: str, count_max: int) -> list[Account]:
    """Return up to `count_max` accounts that follow `after` in key order, FOR UPDATE."""
    rows = await tx.connection.fetch(
        f"SELECT {_COLUMNS} FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2 FOR UPDATE",  # noqa: S608
        after,
        count_max,
    )
    return [_account(row) for row in rows]


def _account(row: Any) -> Account:  # noqa: ANN401 - asyncpg.Record is untyped
    permission = None
    if row["permission_state"] is not None:
        permission = Permission(state=row["permission_state"], ticket=row["permission_ticket"], since=row["permission_since"])
    return Account(row["account_id"], row["status"], row["enterprise_verified"], row["display_name"], permission)
