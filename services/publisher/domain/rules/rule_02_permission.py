"""Rule 2: the publisher is a verified enterprise account with a publish permission granted on a ticket, in good standing."""

from services.publisher.domain.model import Account
from services.publisher.domain.problems import problem
from shared.contracts.answers import Problem
from shared.contracts.codes import Code


def judge_standing(account_id: str, account: Account | None) -> list[Problem]:
    """Return what is wrong with the account as such; `account` is None if the account service never stated it."""
    if account is None:
        return [problem(Code.ACCOUNT_NOT_FOUND, field="account_id", value=account_id)]
    if account.status != "active":
        return [problem(Code.ACCOUNT_NOT_ACTIVE, field="account_id", value=account.status)]
    return []


def judge_permission(account_id: str, account: Account | None) -> list[Problem]:
    """Return everything that keeps the account from publishing."""
    problems = judge_standing(account_id, account)
    if account is None:
        return problems
    if not account.enterprise_verified:
        problems.append(problem(Code.NOT_VERIFIED_ENTERPRISE, field="account_id", value=account_id))
    if account.permission is None or account.permission.state != "granted":
        state = "none" if account.permission is None else account.permission.state
        problems.append(problem(Code.PERMISSION_NOT_GRANTED, field="permission", value=state))
    return problems
