"""YAML as plain data, with the line and column of every key and value.

A small, unsurprising part of YAML: mappings with text keys, lists, texts, whole numbers, `true`, `false`, `null`. No anchors, no
tags, no second document, no key twice; `no` is a text and `1:30` no number. Bounded in size, depth and number of nodes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import yaml

BYTES_MAX: Final = 256 * 1024
_DEPTH_MAX: Final = 16
_EVENTS_MAX: Final = 50_000
_SHOWN_MAX: Final = 60
_START: Final = (1, 1)

Path = tuple[str | int, ...]
Position = tuple[int, int]


class DocumentError(Exception):
    """The text is no document of this kind: where (line and column from 1), what, and what to do."""

    def __init__(self, position: Position, what: str, advice: str) -> None:
        super().__init__(what)
        self.position, self.what, self.advice = position, what, advice


@dataclass(slots=True)
class Document:
    """The data, and where its keys and values begin."""

    data: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)

    def position(self, path: Path) -> Position:
        """Return where the thing at `path` is named: its key, else its value, else the nearest thing around it."""
        for length in range(len(path), 0, -1):
            found = self.keys.get(path[:length]) or self.values.get(path[:length])
            if found is not None:
                return found
        return _START


class _Mark(Protocol):
    """Where PyYAML saw something, counted from 0."""

    line: int
    column: int


class _Loader(yaml.SafeLoader):
    """Resolves what the module's docstring names, nothing else."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z", re.ASCII), list("-0123456789"))
_SCALARS: Final[dict[str, Callable[[str], object]]] = {
    "tag:yaml.org,2002:bool": lambda text: text == "true",
    "tag:yaml.org,2002:null": lambda _text: None,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:str": str,
}


def shown(text: str) -> str:
    """Return `text` as it can stand in an error: in quotes, escaped, short."""
    return repr(text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…")


def read_document(content: bytes) -> Document:
    """Read `content`; raises `DocumentError`."""
    if len(content) > BYTES_MAX:
        raise DocumentError(_START, f"it has {len(content)} bytes, {BYTES_MAX} are allowed", "name the policy's own file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise DocumentError((line, column), "this is no UTF-8", "save the file as UTF-8") from error
    try:
        _refuse_what_is_not_plain(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        what = " ".join(part for part in (error.context, error.problem) if part) or "it is no YAML"
        raise DocumentError(_of(error.problem_mark or error.context_mark), what, "correct the YAML") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise DocumentError((line, column), "a control character", "remove it") from error
    document = Document()
    if node is not None:
        document.data = _plain(node, (), document)
    return document


def _of(mark: _Mark | None) -> Position:
    return _START if mark is None else (mark.line + 1, mark.column + 1)


def _refuse_what_is_not_plain(text: str) -> None:
    # Before anything is built: the parser makes events one by one, so that depth and number are bounded here.
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        position = _of(event.start_mark)
        if number >= _EVENTS_MAX:
            raise DocumentError(position, "there is more in it than a policy holds", "name the policy's own file")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise DocumentError(position, "anchors and aliases are not read", "write the value where it is meant")
        if getattr(event, "tag", None) is not None:
            raise DocumentError(position, "tags are not read", "write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH_MAX:
                raise DocumentError(position, f"it is nested deeper than {_DEPTH_MAX} levels", "correct the indentation")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(node: yaml.Node, path: Path, document: Document) -> object:
    document.values[path] = _of(node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one, (*path, number), document) for number, one in enumerate(node.value)]
    return _SCALARS[node.tag](node.value)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in node.value:
        position = _of(key.start_mark)
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise DocumentError(position, "a key that is no text", "put it in quotes")
        if key.value in made:
            first = document.keys[(*path, key.value)]
            raise DocumentError(position, f"{shown(key.value)} is there twice, first in line {first[0]}", "remove one of them")
        document.keys[(*path, key.value)] = position
        made[key.value] = _plain(value, (*path, key.value), document)
    return made
