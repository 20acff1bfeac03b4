"""What publisher says of accounts."""

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.answers import Outcome
from shared.contracts.base import AccountId, Body, Line, Shape, ShortText, Time
from shared.contracts.facts import AccountStatus


class Permission(Shape):
    """The permission to publish, and the ticket it was granted on."""

    state: Literal["granted", "suspended", "revoked"]
    ticket: ShortText
    since: Time | None = None


class SignedAgreement(Shape):
    """An agreement the account signed."""

    id: ShortText
    version: ShortText
    signed_at: Time


class AccountState(Shape):
    """The complete public state of an account."""

    account_id: AccountId
    status: AccountStatus
    enterprise_verified: bool
    display_name: Line | None = None
    permission: Permission | None = None
    agreements: Annotated[tuple[SignedAgreement, ...], Field(max_length=32)] = ()


class AccountChange(Outcome):
    """What happened to an account."""


class AccountEvent(Body):
    """Base of the events of an account; `state` is null where the account does not exist."""

    state: AccountState | None
    change: AccountChange


class AccountKnown(AccountEvent):
    """The state as it is: after a fact, or a republish."""


class AccountPermitted(AccountEvent):
    """The account may publish."""


class AccountRequestRefused(AccountEvent):
    """The answer to a refused request about an account."""


class AccountRequestRehearsed(AccountEvent):
    """The answer to a dry run about an account."""
