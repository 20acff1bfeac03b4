"""The manifest of a database, `database.json` in its folder: what it is, of when, made from what."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.contracts.base import Digest, NoNul, ShortText
from shared.contracts.report import ScanDatabase

FILE: Final = "database.json"
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,39}$"
_BYTES_MAX: Final = 64 * 1024
Purpose = Literal["vulnerabilities", "malware", "hashes"]
_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?\Z", re.ASCII)


class DatabaseError(Exception):
    """A database, or what one is to be made of, cannot be used: what is wrong, where, why, and what to do."""

    def __init__(self, what: str, *, where: str, why: str, advice: str) -> None:
        super().__init__(f"{what}: {where}: {why}")
        self.what, self.where, self.why, self.advice = what, where, why, advice


def dated(text: str) -> str:
    """Return an ISO 8601 date or time as it is; raises `ValueError` for what is none."""
    if _DATED.match(text) is None:
        message = "not a date of the form 2026-11-24, with or without a time"
        raise ValueError(message)
    datetime.fromisoformat(text)
    return text


class Manifest(BaseModel):
    """What a database is. `digest` is of what was loaded, `index_digest` of the file that was made from it, called `index`."""

    model_config = ConfigDict(frozen=True, strict=True, defer_build=True, extra="ignore")

    format: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    purpose: Purpose
    kind: ShortText
    version: ShortText
    date: Annotated[str, StringConstraints(max_length=40), AfterValidator(dated)]
    digest: Digest
    source: Annotated[str, StringConstraints(max_length=256), NoNul]
    index: Annotated[str, StringConstraints(pattern=r"^index[a-z0-9.-]{0,60}$")]
    index_digest: Digest
    index_size_bytes: Annotated[int, Field(ge=0)]
    entries: Annotated[int, Field(ge=0)]
    counts: dict[str, int] = {}
    releases: Annotated[tuple[str, ...], Field(max_length=1000)] = ()

    def as_used(self) -> ScanDatabase:
        """Return it as a report names it."""
        return ScanDatabase(name=self.name, version=self.version, date=self.date, purpose=self.purpose, digest=self.digest)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`; raises `DatabaseError`, and `FileNotFoundError` where there is none."""
    file = folder / FILE
    try:
        with file.open("rb") as opened:
            content = opened.read(_BYTES_MAX + 1)
        manifest = Manifest.model_validate_json(content[:_BYTES_MAX])
    except FileNotFoundError:
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
        raise _unusable(file, why[:200]) from error
    except OSError as error:
        raise _unusable(file, error.strerror or repr(error)) from error
    if manifest.name != folder.name:
        raise _unusable(file, f"it is of a database called {manifest.name}")
    return manifest


def _unusable(file: Path, why: str) -> DatabaseError:
    return DatabaseError(
        "the database cannot be used", where=str(file), why=why, advice="add it anew: image-commons databases add"
    )
