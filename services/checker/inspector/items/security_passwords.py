# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whether an account has no password, or one that anybody guesses. Sources: passwd(5), shadow(5), crypt(5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from facts import Facts
from findings import Evidence, FileText, Item, Unreadable
from security.accounts import Account, accounts, shadow
from security.budget import cpu_budget_s
from security.guessing import BUDGET_CPU_S, Outcome, Target, guess
from security.hashes import Scheme, scheme_of
from security.troubles import Trouble, item_of, said

NAME = "SECURITY.Passwords"
FAMILIES = frozenset({"linux"})
_LOCK = "lock it (passwd --lock) and let first boot set a password or a key"


@dataclass(frozen=True, slots=True)
class _Field:
    """The password field that counts for an account, and where it stands."""

    account: Account
    text: str
    file: FileText
    line: int

    @property
    def rank(self) -> int:
        return 0 if self.account.uid == 0 else 1 if self.account.can_log_in else 2


def judge(facts: Facts) -> Item:
    """Look for empty fields, then guess; an account without a hash that any password fits is locked, and fine."""
    found, hashes = facts.get(accounts), facts.get(shadow)
    if isinstance(found, Unreadable) or isinstance(hashes, Unreadable):
        reason = found if isinstance(found, Unreadable) else hashes
        return Item(NAME, "unsupported", "Passwords.NotReadable", advice=f"the accounts could not be read: {reason}")
    fields = []
    for account in found:
        line = hashes.get(account.name)
        if account.password != "x":  # noqa: S105 - what passwd(5) has for a password that is in shadow
            fields.append(_Field(account, account.password, account.file, account.line))
        elif line is not None:
            fields.append(_Field(account, line.password, line.file, line.line))
    troubles, hashed = _empty(fields), [(one, scheme) for one in fields if (scheme := scheme_of(one.text)) is not None]
    troubles += _guessed(facts, hashed)
    return item_of(NAME, troubles, f"{len(hashed)} with a password, {len(found) - len(hashed)} locked")


def _empty(fields: Sequence[_Field]) -> list[Trouble]:
    troubles = []
    for login, level, code in ((True, "failed", "Passwords.Empty"), (False, "warning", "Passwords.EmptyWithoutShell")):
        empty = [one for one in fields if not one.text and one.account.can_log_in is login]
        if empty:
            evidence = tuple(said(one.file, one.line, f"{one.account.name} has no password") for one in empty)
            troubles.append(Trouble(level, code, f"these accounts need no password: {_LOCK}", evidence))
    return troubles


def _guessed(facts: Facts, hashed: Sequence[tuple[_Field, Scheme]]) -> list[Trouble]:
    targets = [Target(one.account.name, one.text, scheme, one.rank) for one, scheme in hashed]
    outcomes = guess(targets, budget_s=cpu_budget_s(BUDGET_CPU_S), tell=lambda done, total: facts.tell("passwords", done, total))
    troubles = []
    weak = [(one, outcomes[one.account.name]) for one, _ in hashed if outcomes[one.account.name].found]
    if weak:
        advice = f"anybody guesses the passwords of these accounts: {_LOCK}"
        troubles.append(Trouble("failed", "Passwords.Guessable", advice, tuple(_weak(one, outcome) for one, outcome in weak)))
    for one, _ in hashed:
        reason = outcomes[one.account.name].unjudged
        if reason is not None:
            where = (said(one.file, one.line, f"{one.account.name}: {reason}"),)
            troubles.append(Trouble("unsupported", "Passwords.NotGuessed", f"not every password could be tried: {_LOCK}", where))
    return troubles


def _weak(one: _Field, outcome: Outcome) -> Evidence:
    return said(one.file, one.line, f"the password of {one.account.name} is {outcome.found}")
