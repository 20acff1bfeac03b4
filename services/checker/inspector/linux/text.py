# SPDX-License-Identifier: AGPL-3.0-or-later
"""Configuration files as values that know their line: shell assignments, INI files, YAML.

The standard library's readers keep no line numbers. YAML goes through PyYAML's parser event by event and not through a loader: no
object of a stranger's choosing is made; depth and size are bounded, an alias (the stuff of bombs) counted as what it stands for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import yaml

from findings import FileText, Unreadable

LINES_MAX = 5000
_YAML_BYTES_MAX = 64 * 1024
_YAML_EVENTS_MAX = 20_000
_YAML_DEPTH_MAX = 24


class At(str):
    """A text that knows the line it stands in, from 1."""

    __slots__ = ("line",)
    line: int

    @classmethod
    def of(cls, text: str, line: int) -> "At":
        """Return `text` at `line`."""
        made = cls(text)
        made.line = line
        return made


def assignments(file: FileText | None) -> dict[str, At]:
    """Return the `NAME=value` assignments of a shell-like file, quotes taken off; the last of one name counts, as in a shell."""
    found: dict[str, At] = {}
    for number, line in enumerate(file.lines[:LINES_MAX] if file is not None else (), start=1):
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and name.strip().replace("-", "_").isidentifier():
            found[name.strip()] = At.of(_value(value.strip()), number)
    return found


def _value(text: str) -> str:
    if text[:1] in {'"', "'"}:
        return text[1:].partition(text[0])[0]
    return text.partition(" #")[0].partition("\t#")[0].strip()


def ini(file: FileText | None) -> Iterator[tuple[str, str, At]]:
    """Yield (section, key, value) of an INI file as systemd and NetworkManager write them; names in lower case."""
    section = ""
    for number, line in enumerate(file.lines[:LINES_MAX] if file is not None else (), start=1):
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1].strip().lower()
        elif text and text[0] not in "#;":
            key, separator, value = text.partition("=")
            if separator:
                yield section, key.strip().lower(), At.of(value.strip(), number)


def is_true(value: object) -> bool:
    """Whether a YAML 1.1 or INI value says yes."""
    return isinstance(value, str) and value.lower() in {"true", "yes", "on", "1", "y"}


def is_false(value: object) -> bool:
    """Whether a YAML 1.1 or INI value says no."""
    return isinstance(value, str) and value.lower() in {"false", "no", "off", "0", "n"}


def as_yaml(file: FileText) -> Any:  # noqa: ANN401 - a document is whatever its writer made it
    """Return the file's first document as dicts, lists and `At`; raises `Unreadable` for what is too large or too deep."""
    if len(file.data) > _YAML_BYTES_MAX:
        raise Unreadable("FileTooLarge", f"{file.path} has more than {_YAML_BYTES_MAX} bytes")
    try:
        return _built(file)
    except yaml.YAMLError as error:
        reason = str(getattr(error, "problem", None) or "not YAML")[:120]
        raise Unreadable("NoYaml", f"{file.path} is no YAML that is read here: {reason}") from None


@dataclass(slots=True)
class _Node:
    """A part of a document: what it came to, its anchor's name, its size and depth with aliases as what they stand for."""

    value: Any
    anchor: str | None = None
    size: int = 1
    depth: int = 1
    key: At | None = None

    def put(self, child: "_Node") -> None:
        """Take in the next part of a list or mapping."""
        self.size += child.size
        self.depth = max(self.depth, child.depth + 1)
        if isinstance(self.value, list):
            self.value.append(child.value)
        elif self.key is None:
            # A key that is itself a collection is nothing that a configuration has: it is kept by its own sign.
            self.key = child.value if isinstance(child.value, At) else At.of("?", 0)
        else:
            self.value[self.key] = child.value
            self.key = None


def _built(file: FileText) -> Any:  # noqa: ANN401 - see above
    opened = [_Node([])]
    anchors: dict[str, _Node] = {}
    size = 0
    for event in yaml.parse(file.data.decode(errors="replace"), Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentEndEvent):
            break
        node = _opened_or_done(event, opened, anchors, file)
        size += node.size if node is not None and not isinstance(event, yaml.CollectionEndEvent) else 1
        if size > _YAML_EVENTS_MAX or len(opened) + (node.depth if node is not None else 0) > _YAML_DEPTH_MAX:
            raise Unreadable("YamlTooLarge", f"{file.path} is larger or deeper than any real configuration")
        if node is not None:
            opened[-1].put(node)
            if node.anchor is not None:
                anchors[node.anchor] = node
    top = opened[0].value
    return top[0] if top else None


def _opened_or_done(event: yaml.Event, opened: list[_Node], anchors: dict[str, _Node], file: FileText) -> _Node | None:
    """Open a list or mapping, or return what the event completes."""
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise Unreadable("YamlAlias", f"{file.path} has an alias of what is not complete above it")
        return anchors[event.anchor]
    if isinstance(event, yaml.ScalarEvent):
        return _Node(At.of(event.value, cast("yaml.Mark", event.start_mark).line + 1), event.anchor)
    if isinstance(event, yaml.CollectionStartEvent):
        opened.append(_Node({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
    return opened.pop() if isinstance(event, yaml.CollectionEndEvent) else None
