# SPDX-License-Identifier: AGPL-3.0-or-later
"""GRUB 2: grub.cfg, as far as what it starts stands in it. Source: GNU GRUB manual 2.12, 6 and 16.

It is a script. Its conditions are not run: every branch's commands count, since each may be taken; of searches that are
alternatives of one another, one that finds something is enough. Variables hold what was last assigned above, as in the files that
grub-mkconfig writes; `grubenv` is read first.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from findings import FileText
from linux.boot.model import FILE_BYTES_MAX, LINES_MAX, Boot, Entry, Word, place_named, place_of
from linux.places import Place

_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_]\w*|[0-9?@*#]))")
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<end>;)|(?P<comment>(?:^|(?<=[\s;]))\#.*)|(?P<single>'[^']*'?)|(?P<double>"(?:[^"\\]|\\.)*"?)"""
    r"""|(?P<escaped>\\.)|(?P<variable>\$(?:\{[^}]*\}|[A-Za-z_]\w*|[0-9?@*#]))|(?P<plain>[^\s;'"\\$]+|.)"""
)
_ESCAPED = re.compile(r'\\(["\\$])')
_PARTITION = re.compile(r"[a-z]+\d*,(?:gpt|msdos|apple|bsd)?(\d{1,4})$")
_LINUX = frozenset({"linux", "linux16", "linuxefi"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})
_MULTIBOOT = frozenset({"multiboot", "multiboot2", "xen_hypervisor"})
_MODULE = frozenset({"module", "module2", "xen_module"})
_BEFORE_A_COMMAND = frozenset({"if", "then", "else", "elif", "!", "{"})
_TAG_OF_OPTION = {"--fs-uuid": "UUID", "-u": "UUID", "--label": "LABEL", "-l": "LABEL", "--file": "FILE", "-f": "FILE"}
_TAG_OF_COMMAND = {"search.fs_uuid": "UUID", "search.fs_label": "LABEL", "search.file": "FILE"}
_VALUE_CHARACTERS_MAX = 8192
_VARIABLES_MAX = 1000
_SOURCED_MAX = 8
_UNKNOWN = "\ufdd0"
"""Stands for a variable that nothing here assigns: a sign that no text holds."""


@dataclass(slots=True)
class Script:
    """What the script's variables hold at a line. `root` is the place that paths without a device count from."""

    home: Place
    known: list[Place]
    boot: Boot
    variables: dict[str, str] = field(default_factory=dict)
    wants_bls: bool = False
    _outer_root: str | None = None
    _title: str = ""
    _open: Entry | None = None
    _depth: int = 0
    _searched: list[tuple[str, Word, bool]] = field(default_factory=list)
    _sourced: set[str] = field(default_factory=set)

    def run(self, file: FileText) -> None:
        """Take in a file, line by line."""
        if len(file.lines) > LINES_MAX:
            self.boot.unjudged.append(f"{file.path} has more than {LINES_MAX} lines")
        for number, line in enumerate(file.lines[:LINES_MAX], start=1):
            for words in commands(line, self.variables):
                self._command(words, file, number)
        self._close()
        self._settle()

    def _command(self, words: list[str], file: FileText, line: int) -> None:
        while words and words[0] in _BEFORE_A_COMMAND:
            self._depth += words[0] == "if"
            words = words[1:]
        name, rest = (words[0], words[1:]) if words else ("", [])
        if name in _WITHOUT_WORDS:
            _WITHOUT_WORDS[name](self)
        elif name in _WITH_WORDS and rest:
            _WITH_WORDS[name](self, words, file, line)

    def _fi(self) -> None:
        self._depth = max(0, self._depth - 1)
        if not self._depth:
            self._settle()

    def _end(self) -> None:
        self._close()
        if self._outer_root is not None:
            self.variables["root"] = self._outer_root

    def _blscfg(self) -> None:
        self.wants_bls = True

    def _menu(self, words: list[str], _file: FileText, _line: int) -> None:
        self._close()
        self._title = words[1]
        if words[0] == "menuentry":
            self._outer_root = self.variables.get("root")

    def _set(self, words: list[str], _file: FileText, _line: int) -> None:
        self._assign(words[1])

    def _configfile(self, words: list[str], file: FileText, line: int) -> None:
        word, place = self._file(words[1], file, line)
        if word is not None:
            self.boot.files.append((word, place))

    def _source(self, words: list[str], file: FileText, line: int) -> None:
        """Take in another file, if it is there: such lines stand behind a question whether it is."""
        path = words[1]
        if _UNKNOWN in path or path in self._sourced or len(self._sourced) >= _SOURCED_MAX:
            return
        self._sourced.add(path)
        word, place = self._file(path, file, line)
        other = place.read_text(word.text, bytes_max=FILE_BYTES_MAX) if word is not None and place is not None else None
        if other is not None:
            for number, text in enumerate(other.lines[:LINES_MAX], start=1):
                for inner in commands(text, self.variables):
                    self._command(inner, other, number)

    def _settle(self) -> None:
        """Report the searches of one condition's branches that found nothing, unless another one of them did."""
        done = {variable for variable, _, there in self._searched if there}
        self.boot.want(word for variable, word, there in self._searched if there or variable not in done)
        self._searched.clear()

    def _assign(self, word: str) -> None:
        name, separator, value = word.partition("=")
        if separator and (name in self.variables or len(self.variables) < _VARIABLES_MAX):
            self.variables[name] = value[:_VALUE_CHARACTERS_MAX]

    def _search(self, words: list[str], file: FileText, line: int) -> None:
        tag, variable, values = _search_words(words)
        if not values or tag is None:
            return
        spec = f"{tag}={values[0]}"
        if tag == "FILE":
            holders = [place for place in self.known if place.find(values[0])]
            spec = f"PLACE={self.known.index(holders[0])}" if holders else ""
        elif values[0] and _UNKNOWN not in spec:
            self._searched.append((variable, Word(spec, file, line), place_named(spec, self.known) is not None))
            if not self._depth:
                self._settle()
        if _UNKNOWN not in spec:
            self._assign(f"{variable}={spec}")

    def _kernel(self, words: list[str], file: FileText, line: int) -> None:
        self._close()
        word, place = self._file(words[1], file, line)
        self._open = Entry(self._title, place, word, options=Word(_known(" ".join(words[2:])), file, line))

    def _initramfs(self, words: list[str], file: FileText, line: int) -> None:
        if self._open is None:
            return
        name, words = words[0], words[1:]
        # A multiboot module has a command line of its own; the first one is the kernel, whose options count.
        paths = [words[0] if words[0] != "--nounzip" else words[-1]] if name in _MODULE else words
        added = tuple(word for word in (self._file(path.removeprefix("newc:"), file, line)[0] for path in paths) if word)
        options = self._open.options
        if name in _MODULE and len(words) > 1 and not self._open.initramfs:
            options = Word(_known(" ".join(words[1:])), file, line)
        self._open = Entry(self._open.title, self._open.place, self._open.kernel, self._open.initramfs + added, options)

    def _close(self) -> None:
        if self._open is not None:
            self.boot.add(self._open)
            self._open = None

    def _file(self, path: str, file: FileText, line: int) -> tuple[Word | None, Place | None]:
        """Return the path without its device, and the place that it counts from."""
        device = self.variables.get("root", "")
        if path.startswith("("):
            device, _, path = path[1:].partition(")")
        place = self.place(device)
        if path == _UNKNOWN:
            return None, place
        if _UNKNOWN in path:
            self.boot.unjudged.append(f"{file.path}:{line}: a variable in {_known(path)[:80]} is not assigned there")
            return None, place
        if place is None:
            self.boot.unjudged.append(f"{file.path}:{line}: nobody can tell which file system ({device[:80]}) is")
        return (Word(path, file, line) if path else None), place

    def place(self, device: str) -> Place | None:
        """Return the place that GRUB calls `device`; the configuration's own where it is not named."""
        if not device:
            return self.home
        if device.startswith("PLACE="):
            return self.known[int(device.removeprefix("PLACE="))]
        if "=" in device:
            # One that is not there is reported where it is searched for; what was root before stays root.
            return place_named(device, self.known) or self.home
        match = _PARTITION.search(device)
        if match:
            volumes = [place.volume for place in self.known if place.volume is not None]
            return place_of(next((one for one in volumes if one.partition.number == int(match[1])), None), self.known)
        if device.startswith("lvm/"):
            mapper = device.removeprefix("lvm/")
            return next((one for one in self.known if one.volume is not None and one.volume.partition.mapper == mapper), None)
        return self.home if device == "hd0" else None


def _known(text: str) -> str:
    return text.replace(_UNKNOWN, "")


def expand(text: str, variables: dict[str, str]) -> str:
    """Return `text` with variables replaced once, unknown ones by nothing, bounded in length."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)[:_VALUE_CHARACTERS_MAX]


def commands(line: str, variables: dict[str, str]) -> Iterator[list[str]]:
    """Yield the commands of a line as words: quotes taken off, variables replaced, comments left out."""
    words: list[str] = []
    word: str | None = None
    for match in _TOKEN.finditer(line[:_VALUE_CHARACTERS_MAX]):
        kind, text = match.lastgroup, match[0]
        if kind in {"space", "end"}:
            words += [] if word is None else [word]
            word = None
            if kind == "end" and words:
                yield words
                words = []
        elif kind == "variable":
            # Outside quotes a variable's value falls apart into words, and an empty one is none.
            *whole, last = _values(text, variables).split(" ")
            for piece in whole:
                words += [(word or "") + piece] if word or piece else []
                word = None
            word = (word or "") + last if last else word
        elif kind == "double":
            word = (word or "") + _ESCAPED.sub(r"\1", _values(text.removeprefix('"').removesuffix('"'), variables))
        elif kind != "comment":
            word = (word or "") + (text.strip("'") if kind == "single" else text[1:] if kind == "escaped" else text)
    words += [] if word is None else [word]
    if words:
        yield words


def _values(text: str, variables: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], _UNKNOWN), text)[:_VALUE_CHARACTERS_MAX]


def _search_words(words: list[str]) -> tuple[str | None, str, list[str]]:
    """Return what a search command looks for (a tag, or FILE), the variable that it sets, its other words."""
    tag, variable = _TAG_OF_COMMAND.get(words[0]), "root"
    values: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _TAG_OF_OPTION:
            tag = _TAG_OF_OPTION[word]
        elif word.startswith("--set="):
            variable = word.partition("=")[2]
        elif word in {"--set", "-s"}:
            variable = next(rest, "root")
        elif word == "--hint":
            next(rest, None)
        elif not word.startswith("-"):
            values.append(word)
    if words[0] in _TAG_OF_COMMAND and len(values) > 1:
        variable = values[1]
    return tag, variable, values


def environment(file: FileText | None) -> dict[str, str]:
    """Return the variables of a GRUB environment block (grubenv): `name=value` lines, `#` fills the rest."""
    lines = [] if file is None else file.lines[:_VARIABLES_MAX]
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value[:_VALUE_CHARACTERS_MAX] for name, separator, value in pairs if separator}


_WITHOUT_WORDS: Final[dict[str, Callable[[Script], None]]] = {"fi": Script._fi, "}": Script._end, "blscfg": Script._blscfg}  # noqa: SLF001 - a table of this class's own methods
_WITH_WORDS: Final[dict[str, Callable[[Script, list[str], FileText, int], None]]] = {
    name: method
    for names, method in (
        (("menuentry", "submenu"), Script._menu),  # noqa: SLF001
        (("set",), Script._set),  # noqa: SLF001
        (("search", *_TAG_OF_COMMAND), Script._search),  # noqa: SLF001
        ((*_LINUX, *_MULTIBOOT), Script._kernel),  # noqa: SLF001
        ((*_INITRD, *_MODULE), Script._initramfs),  # noqa: SLF001
        (("configfile", "normal"), Script._configfile),  # noqa: SLF001
        (("source", "."), Script._source),  # noqa: SLF001
    )
    for name in names
}
