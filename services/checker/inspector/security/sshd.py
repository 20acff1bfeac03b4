# SPDX-License-Identifier: AGPL-3.0-or-later
"""The configuration of the SSH server. Source: sshd_config(5).

In the global part the first value of a keyword wins; a block of `Match` whose criteria all hold overrides it. Who connects from
where is not known here, so that every block counts as one that may hold, unless its users can be told apart.
"""

import fnmatch
import re
from dataclasses import dataclass, field

from facts import Facts
from findings import Evidence, FileText, Unreadable
from tree import Tree

PROGRAMS = ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/lib/ssh/sshd", "/usr/libexec/openssh/sshd", "/usr/local/sbin/sshd")
_CONFIGS = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config", "/usr/local/etc/ssh/sshd_config")
_DEPTH_MAX = 16
_FILES_MAX = 256
_LINES_MAX = 20_000
_PROGRAM_BYTES_MAX = 8 * 2**20
_WORD = re.compile(r'"([^"]*)"|([^\s"=]+)')
_VERSION = re.compile(rb"OpenSSH_([0-9]{1,2})\.([0-9]{1,2})")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line: its keyword in lower case, its words, and the criteria of the `Match` block it stands in, None outside."""

    keyword: str
    words: tuple[str, ...]
    file: FileText
    line: int
    criteria: tuple[str, ...] | None = None

    @property
    def value(self) -> str:
        """The first word, in lower case."""
        return self.words[0].lower() if self.words else ""

    @property
    def evidence(self) -> Evidence:
        """Where it stands."""
        return self.file.evidence(self.line)

    def may_concern(self, user: str) -> bool:
        """Whether the block it stands in can hold for `user`."""
        words = [one.lower() for one in self.criteria or ()]
        if "user" not in words[:-1]:
            return True
        patterns = (self.criteria or ())[words.index("user") + 1].split(",")
        denied = any(fnmatch.fnmatchcase(user, one[1:]) for one in patterns if one.startswith("!"))
        return not denied and any(fnmatch.fnmatchcase(user, one) for one in patterns if not one.startswith("!"))


@dataclass(slots=True)
class Sshd:
    """What is configured. `program` is the server's path, None where there is none; `unread` is why a part could not be read."""

    program: str | None = None
    version: tuple[int, int] | None = None
    settings: list[Setting] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)

    def everywhere(self, keyword: str) -> Setting | None:
        """Return what holds for everybody whom no block with criteria concerns."""
        own = [one for one in self.settings if one.keyword == keyword]
        overriding = (one for one in own if one.criteria is not None and [word.lower() for word in one.criteria] == ["all"])
        return next(overriding, None) or next((one for one in own if one.criteria is None), None)

    def somewhere(self, keyword: str) -> list[Setting]:
        """Return what holds for some, in blocks of `Match`."""
        return [one for one in self.settings if one.keyword == keyword and one.criteria is not None]


def sshd(facts: Facts) -> Sshd:
    """Probe: the SSH server's configuration, drop-in folders in their place."""
    tree = facts.files()
    found = Sshd(next((path for path in PROGRAMS if tree.find_file(path) is not None), None))
    if found.program is not None:
        found.version = _version(tree, found.program)
    config = next((path for path in _CONFIGS if tree.find_file(path) is not None), None)
    if config is not None:
        _Reader(tree, found).read(config, None, 0)
    return found


def _version(tree: Tree, program: str) -> tuple[int, int] | None:
    version = _VERSION.search(tree.read_head(program, _PROGRAM_BYTES_MAX) or b"")
    return None if version is None else (int(version[1]), int(version[2]))


class _Reader:
    """Reads the configuration's files in the order the server does, bounded over all of them."""

    def __init__(self, tree: Tree, found: Sshd) -> None:
        self._tree, self._found = tree, found
        self._files_left, self._lines_left = _FILES_MAX, _LINES_MAX

    def read(self, path: str, criteria: tuple[str, ...] | None, depth: int) -> None:
        """Read one file; a block of `Match` that it opens ends with it. Raises `Unreadable` past the bounds."""
        self._files_left -= 1
        if depth > _DEPTH_MAX or self._files_left < 0:
            raise Unreadable("TooManyIncludes", f"{path} is included too deep, or too many files are")
        try:
            file = self._tree.read_text(path)
        except Unreadable as error:
            self._found.unread.append(error)
            return
        if file is not None:
            self._take(file, criteria, depth)

    def _take(self, file: FileText, criteria: tuple[str, ...] | None, depth: int) -> None:
        self._lines_left -= len(file.lines)
        if self._lines_left < 0:
            raise Unreadable("TooManyLines", f"more than {_LINES_MAX} lines of sshd_config")
        for number, line in enumerate(file.lines, start=1):
            words = _words(line)
            if not words:
                continue
            keyword, rest = words[0].lower(), tuple(words[1:])
            if keyword == "match":
                criteria = rest
            elif keyword == "include":
                for one in [path for pattern in rest for path in self._matching(pattern)]:
                    self.read(one, criteria, depth + 1)
            else:
                self._found.settings.append(Setting(keyword, rest, file, number, criteria))

    def _matching(self, pattern: str) -> list[str]:
        """Return the files that glob(7) finds, in its order; wildcards are looked for in the last part of the path alone."""
        path = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
        folder, _, name = path.rpartition("/")
        if any(one in folder for one in "*?["):
            self._found.unread.append(Unreadable("UnknownPattern", f"Include {pattern} has wildcards in a folder's name"))
            return []
        if not any(one in name for one in "*?["):
            return [path]
        names = [one for one in self._tree.names(folder) if one[0] != "." or name[0] == "."]
        return [f"{folder}/{one}" for one in names if fnmatch.fnmatchcase(one, name)]


def _words(line: str) -> list[str]:
    """Split a line; `keyword=value` and `keyword value` are the same, `#` begins a comment."""
    words: list[str] = []
    for found in _WORD.finditer(line[:4096]):
        if found[1] is None and found[2].startswith("#"):
            break
        words.append(found[1] if found[1] is not None else found[2])
    return words
