"""Making facts and requests of what was typed, with the contracts' own bounds as the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=BaseModel)


def made(model: type[M], data: Mapping[str, Any]) -> M:
    """Return `data` as the contract's `model`; what is None counts as not given.

    Raises:
        CommandError: with exit code 2; names each field and what is wrong with it.
    """
    try:
        # As JSON, for the contracts are strict: a list of Python is no tuple to them, a JSON array is.
        return model.model_validate_json(to_json({name: value for name, value in data.items() if value is not None}))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        why = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {sentence(fault['msg'])}" for fault in faults)
        raise CommandError("the contracts do not allow this", why=why, exit_code=ExitCode.USAGE) from error


def sentence(message: str) -> str:
    """Return what pydantic says of a field as a person would."""
    from cli.options import ID_RULE, REGION_RULE
    from shared.contracts.base import IDENTIFIER_PATTERN, REGION_PATTERN

    for pattern, rule in ((IDENTIFIER_PATTERN, ID_RULE), (REGION_PATTERN, REGION_RULE)):
        if pattern in message:
            return rule
    return message.removeprefix("Value error, ").removeprefix("String ")


def by_account(account: str, region: str, **data: Any) -> dict[str, Any]:
    """Return a request's data with an account as its actor."""
    return {"actor": {"kind": "account", "id": account}, "region": region, **data}


def by_operator(operator: str, region: str, **data: Any) -> dict[str, Any]:
    """Return a request's data with an operator as its actor."""
    return {"actor": {"kind": "operator", "id": operator}, "region": region, **data}
