"""Loads a policy: a shipped one by its name, an operator's own from its file. A bad one is refused, with all its troubles."""

import difflib
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from shared.contracts.gate import GatePolicy, Severity, VulnerabilityLimits
from shared.contracts.rules import KNOWN_ITEMS
from shared.policy.document import BYTES_MAX, Document, DocumentError, read_document, shown
from shared.policy.model import PolicyDocument, RegionPart, Threshold

SHIPPED: Final = ("gate", "inspect")
"""Names of the policies that ship: for services, and for the command line."""
_FOLDER: Final = Path(__file__).resolve().parent
_DIGEST_CHARACTERS: Final = 16
_TROUBLES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with a policy: where (line and column from 1), what, and what to do."""

    line: int
    column: int
    what: str
    advice: str


class PolicyError(Exception):
    """A policy cannot be used. The text names file, line, column, what is wrong and what to do, one line for each trouble."""

    def __init__(self, file: str, troubles: Iterable[Trouble]) -> None:
        self.file, self.troubles = file, tuple(sorted(troubles, key=lambda one: (one.line, one.column)))
        super().__init__("\n".join(f"{file}:{one.line}:{one.column}: {one.what}: {one.advice}" for one in self.troubles))


@dataclass(frozen=True, slots=True)
class RegionPolicy:
    """What holds in one region."""

    gate: GatePolicy


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it was loaded; `digest` is of its file's bytes, `sha256:…`."""

    name: str
    version: str
    digest: str
    document: PolicyDocument

    @property
    def label(self) -> str:
        """Name, version and the digest's beginning: what every decision records as its policy's version."""
        return f"{self.name}:{self.version}:{self.digest.removeprefix('sha256:')[:_DIGEST_CHARACTERS]}"

    def region(self, region: str | None = None) -> RegionPolicy:
        """Return what holds in `region`; None: in one that the policy does not name."""
        return RegionPolicy(_gate(self.document.for_region(region)))


def shipped_policy(name: str) -> Policy:
    """Return the policy of that name that ships; raises `KeyError` for another name."""
    if name not in SHIPPED:
        raise KeyError(name)
    return _parsed((_FOLDER / f"{name}.yaml").read_bytes(), f"{name}.yaml")


def load_policy(choice: str | Path) -> Policy:
    """Return the shipped policy that `choice` names, else the one in the file `choice`; raises `PolicyError`."""
    if str(choice) in SHIPPED:
        return shipped_policy(str(choice))
    return _parsed(_content(Path(choice)), str(choice))


def _content(file: Path) -> bytes:
    advice = f"name a policy's file, or one of {', '.join(SHIPPED)}"
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PolicyError(str(file), [Trouble(1, 1, "it is no regular file", advice)])
            return opened.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise PolicyError(str(file), [Trouble(1, 1, f"it cannot be read: {what}", advice)]) from error


def _parsed(content: bytes, file: str) -> Policy:
    try:
        document = read_document(content)
    except DocumentError as error:
        raise PolicyError(file, [Trouble(*error.position, error.what, error.advice)]) from error
    try:
        # Through JSON: strict models take lists for tuples there, and nothing else for anything.
        model = PolicyDocument.model_validate_json(to_json(document.data))
    except ValidationError as error:
        found = error.errors(include_url=False)[:_TROUBLES_MAX]
        raise PolicyError(file, [_trouble(one, document) for one in found]) from error
    return Policy(model.name, model.version, f"sha256:{hashlib.sha256(content).hexdigest()}", model)


def _gate(part: RegionPart) -> GatePolicy:
    limits = part.gate.vulnerabilities
    return GatePolicy(
        items={name: frozenset(levels) for name, levels in part.gate.items.items()},
        others=frozenset(part.gate.others),
        missing_database_blocks=part.gate.missing_database == "blocks",
        vulnerabilities=VulnerabilityLimits(
            known_exploited=limits.known_exploited,
            severity=_severity(limits.severity),
            severity_without_fix=_severity(limits.severity_without_fix),
            database_age_days_max=limits.database_age_days_max,
        ),
    )


def _severity(threshold: Threshold) -> Severity | None:
    return None if threshold == "never" else threshold


def _trouble(error: ErrorDetails, document: Document) -> Trouble:
    path = tuple(part for part in error["loc"] if part != "[key]")
    named = [part for part in path if isinstance(part, str)]
    what, advice = _told(error, path, shown(named[-1]) if named else "the policy")
    return Trouble(*document.position(path), what, advice)


def _told(error: ErrorDetails, path: tuple[str | int, ...], last: str) -> tuple[str, str]:
    """Return what is wrong with `last`, the end of `path`, and what to do."""
    kind, known = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {last}", _known_names(str(path[-1]), _keys_at(path[:-1]))
    if kind == "value_error" and "[key]" in error["loc"]:
        return f"no item is called {last}", _known_names(str(path[-1]), KNOWN_ITEMS)
    simple = {
        "missing": (f"{last} is missing", "add it"),
        "string_type": (f"{last} is no text", "put it in quotes"),
        "string_pattern_mismatch": (f"{last} has another form", f"it must match {known.get('pattern')}"),
        "literal_error": (f"{last} cannot be {shown(str(error['input']))}", f"it must be {known.get('expected')}"),
        "tuple_type": (f"{last} is no list", "put it in [ and ]"),
        "model_type": (f"{last} has no keys", "give it keys, or leave it out"),
    }
    return simple.get(kind) or (
        f"{last} is wrong",
        error["msg"].replace("Input should", "it should").replace("an object", "keys"),
    )


def _known_names(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1, 0.6)
    return f"is {near[0]} meant?" if near else f"known here: {', '.join(names)}"


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the model has at `path`."""
    here: Any = PolicyDocument
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(step)].annotation
        else:
            here = get_args(here)[-1]
        while get_origin(here) is not None and get_origin(here) is not dict:
            here = next(one for one in get_args(here) if one is not NoneType)
    return list(here.model_fields)
