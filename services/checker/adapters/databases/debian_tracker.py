"""Debian's security tracker, its file `data/json`: what Debian knows of every vulnerability of every source package.

It is one object of 80 MB and more, so it is read source package by source package. Source: the tracker's own page "JSON data".
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import ijson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from services.checker.adapters.databases.index import IndexWriter
from services.checker.adapters.databases.inputs import Input, Unpacked
from services.checker.domain.advisories import Advisory, Interval, names_of, severity_of_word, source_package
from services.checker.domain.releases import DEBIAN_CODE_NAMES
from services.checker.domain.versions import is_version

_PACKAGE_BYTES_MAX: Final = 128 << 20
_BUFFER_BYTES: Final = 64 * 1024
_DEPTH_MAX: Final = 16
_NAME_MAX: Final = 256
_Text = Annotated[str, StringConstraints(max_length=_NAME_MAX)]
_ADVICE: Final = "name the tracker's JSON file, as it was fetched"


class _Release(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    status: _Text
    fixed_version: _Text | None = None
    urgency: _Text | None = None


class _Issue(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    releases: Annotated[dict[_Text, _Release], Field(max_length=100)] = {}


_ISSUES: Final = TypeAdapter(dict[_Text, _Issue])


def load(given: Input, writer: IndexWriter) -> None:
    """Index the file; it does not say of when it is. Raises `DatabaseError`."""
    with given.stream() as unpacked:
        for package, issues in _packages(given, unpacked):
            try:
                known = _ISSUES.validate_python(issues)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                given.refuse(f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg']}", _ADVICE, place=package)
            for name, issue in known.items():
                writer.add([*_advisories(package, name, issue, writer)])
    if not writer.counts["entries"]:
        given.refuse("it says nothing of any release of Debian", _ADVICE)


def _packages(given: Input, unpacked: Unpacked) -> Iterator[tuple[str, Any]]:
    """Yield each member of the outermost object, one at a time in memory.

    The library's own loop over members takes memory that grows with the square of the depth, so the depth is watched here.
    """
    unpacked.since_mark_max = _PACKAGE_BYTES_MAX
    depth, package, built = 0, "", None
    try:
        for event, value in ijson.basic_parse(unpacked, buf_size=_BUFFER_BYTES):
            if event.startswith("start_"):
                depth += 1
                if depth > _DEPTH_MAX:
                    given.refuse(f"it is nested deeper than {_DEPTH_MAX} levels", _ADVICE, place=package)
            elif event.startswith("end_"):
                depth -= 1
            if depth == 1 and event == "map_key":
                package, built = value, ijson.ObjectBuilder()
                unpacked.since_mark = 0
            elif built is not None:
                built.event(event, value)
                if depth == 1:
                    if not isinstance(built.value, dict) or not 0 < len(package) <= _NAME_MAX:
                        given.refuse("a source package that is no object of vulnerabilities", _ADVICE, place=package)
                    yield package, built.value
                    built = None
    except (ijson.JSONError, UnicodeDecodeError) as error:
        given.refuse(f"it is no JSON object of source packages: {error}", _ADVICE)


def _advisories(package: str, name: str, issue: _Issue, writer: IndexWriter) -> Iterator[Advisory]:
    for code_name, said in issue.releases.items():
        number = DEBIAN_CODE_NAMES.get(code_name)
        if number is None or said.status == "undetermined":
            # Unstable has no number; nobody knows yet whether what is undetermined is affected.
            writer.skip("undetermined" if number is not None else "for no release with a number")
            continue
        fixed = said.fixed_version if said.status == "resolved" else None
        if said.status == "resolved" and fixed in {None, "0"}:
            continue
        if fixed is not None and not is_version("deb", fixed):
            # What might be affected is.
            writer.counts["fixed versions that cannot be compared"] += 1
            fixed = None
        yield Advisory(
            id=name,
            release=f"debian:{number}",
            package=source_package(package),
            names=names_of(name),
            severity=severity_of_word(said.urgency),
            intervals=(Interval(fixed=fixed),),
        )
