# SPDX-License-Identifier: AGPL-3.0-or-later
"""Searching an image for what was left behind: the likeliest places first, each file once, within a budget of bytes."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from facts import Facts
from family import family_of
from findings import Evidence, FileText, Unreadable, attempt
from security.leftovers.identity import is_host_key
from security.leftovers.keys import authorized_keys, private_keys
from security.leftovers.passwords import in_history, in_variables
from security.leftovers.secret import Secret
from security.leftovers.stores import IN_HOMES, IN_SYSTEM, Reader, secrets_of
from security.leftovers.tokens import has_tokens, tokens
from security.places import homes
from security.sshd import Sshd, sshd
from security.walk import Files, all_files
from tree import Found, Tree

TOTAL_BYTES_MAX = 64 * 2**20
FILE_BYTES_MAX = 2**20
HISTORY_END_BYTES = 256 * 1024
_MATCHES_MAX = 64
_PATTERNS_MAX = 8
_SHELLS = ("bash", "zsh", "ash", "sh", "ksh", "python", "mysql", "psql", "rediscli", "sqlite", "node_repl")
_HISTORIES = (*(f".{shell}_history" for shell in _SHELLS), ".history", ".zhistory", ".local/share/fish/fish_history")
_AUTHORIZED_KEYS = (".ssh/authorized_keys", ".ssh/authorized_keys2")
_VARIABLES = re.compile(
    r"\.env(?:\.(?!example|sample|template|dist)[A-Za-z0-9_-]{1,32})?|[A-Za-z0-9_.-]{1,64}\.(?:env|tfvars)|environment|\.?credentials"
    r"|\.(?:bashrc|profile|bash_profile|bash_aliases|zshrc|zshenv|zprofile|envrc)|user-data(?:\.txt)?"
)
_VARIABLES_IN = ("/etc/default/", "/etc/sysconfig/", "/etc/profile.d/", "/etc/environment.d/")
_KEY_LIKE = re.compile(r"id_[a-z0-9_]+|.*\.(?:pem|key|ppk|p8|priv|asc|json)|.*(?:_rsa|_dsa|_ecdsa|_ed25519)", re.DOTALL)
_NAME_CHARACTERS_MAX = 255
Find = Callable[[bytes, list[str]], list[Secret]]


@dataclass(slots=True)
class Leftovers:
    """What was found, as evidence by kind; `unread` is why not everything was looked at."""

    kinds: dict[str, list[Evidence]] = field(default_factory=dict)
    unread: list[Unreadable] = field(default_factory=list)


def leftovers(facts: Facts) -> Leftovers:
    """Probe: the search."""
    search = Search(facts)
    for home, names in search.homes(facts):
        for name in _AUTHORIZED_KEYS:
            if name.partition("/")[0] in names:
                search.look(f"{home}/{name}", "AuthorizedKeys", lambda _, lines: authorized_keys(lines))
        for name, read in IN_HOMES:
            if name.partition("/")[0] in names:
                search.look(f"{home}/{name}", "Credentials", _by(read))
        for name in _HISTORIES:
            if name.partition("/")[0] in names:
                search.look_at_history(f"{home}/{name}")
    _look_at_system(facts, search)
    search.look_at_all(facts)
    return search.found


def _look_at_system(facts: Facts, search: "Search") -> None:
    if family_of(facts) == "windows":
        from windows.leftovers import look_at_windows

        look_at_windows(facts, search)
        return
    for path in _configured_keys(facts):
        search.look(path, "AuthorizedKeys", lambda _, lines: authorized_keys(lines))
    for path, read in IN_SYSTEM:
        search.look(path, "Credentials", _by(read))


def _by(read: Reader) -> Find:
    return lambda data, _: secrets_of(read, data)


def _configured_keys(facts: Facts) -> Iterator[str]:
    """Yield where sshd looks for authorized keys when it is told to look elsewhere."""
    server, known = facts.get(sshd), facts.get(homes)
    if not isinstance(server, Sshd) or isinstance(known, Unreadable):
        return
    for setting in server.settings:
        if setting.keyword == "authorizedkeysfile":
            for pattern in setting.words[:_PATTERNS_MAX]:
                for account, home in known:
                    path = pattern.replace("%h", home).replace("%u", account).replace("%%", "%")
                    yield path if path.startswith("/") else f"{home}/{path}"


class Search:
    """Looks at files, each once, and keeps what was found in them."""

    def __init__(self, facts: Facts) -> None:
        self._tree: Tree = facts.files()
        self._left = TOTAL_BYTES_MAX
        self._seen: set[tuple[str, str]] = set()
        self.found = Leftovers()

    def homes(self, facts: Facts) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield the homes that are there, with the names in them: most have few of all that could be."""
        known = facts.get(homes)
        for _, home in () if isinstance(known, Unreadable) else known:
            names = attempt(lambda home=home: self._tree.names(home))  # type: ignore[misc]
            if isinstance(names, Unreadable):
                self._unread(home, names)
            elif names:
                yield home, frozenset(names)

    def look(self, path: str, kind: str, find: Find) -> None:
        """Look at the file at `path`; `*` stands for any name in the one part that has it."""
        for one in self._matching(path):
            found = attempt(lambda one=one: self._tree.find_file(one))  # type: ignore[misc]
            if isinstance(found, Unreadable):
                self._unread(one, found)
            elif found is not None:
                self.look_at(found, kind, find)

    def look_at(self, found: Found, kind: str, find: Find) -> None:
        """Look at a file for one kind of secret."""
        if (found.path, kind) in self._seen:
            return
        self._seen.add((found.path, kind))
        data = self._read(found, 0, FILE_BYTES_MAX)
        if data:
            self._keep(found.path, kind, data, find)

    def look_at_history(self, path: str) -> None:
        """Look at the beginning and the end of a history: nobody knows how long it is."""
        found = attempt(lambda: self._tree.find_file(path))
        if not isinstance(found, Found) or (found.path, "ShellHistory") in self._seen:
            return
        self._seen.add((found.path, "ShellHistory"))
        size = found.stat().size
        head = self._read(found, 0, FILE_BYTES_MAX)
        tail = (
            self._read(found, max(FILE_BYTES_MAX, size - HISTORY_END_BYTES), HISTORY_END_BYTES) if size > FILE_BYTES_MAX else b""
        )
        if not (head + tail).strip(b"\0 \t\r\n"):
            return
        self._add("ShellHistory", Evidence(found.path, text=f"{size:,} bytes of history"))
        self._keep(found.path, "Token", head, lambda _, lines: in_history(lines))
        if tail:
            for secret in in_history(FileText(found.path, tail).lines):
                self._add("Token", Evidence(found.path, text=f"{secret.text}, near the end"))

    def look_at_all(self, facts: Facts) -> None:
        """Look at every small file in the places where secrets are left, then at those of what is not mounted."""
        files = facts.get(all_files)
        if not isinstance(files, Files):
            self.found.unread.append(files)
            return
        self.found.unread += files.unread
        self._look_at(facts, files.notable)
        # A budget of its own: snapshots take nothing from what the system has.
        self._left = TOTAL_BYTES_MAX
        self.found.unread += files.unread_beside
        self._look_at(facts, files.beside)

    def _look_at(self, facts: Facts, notable: list[tuple[Found, int]]) -> None:
        """Look at small files, the likeliest first."""
        for number, (found, size) in enumerate(sorted(notable, key=lambda one: (not _is_likely(one[0].path), one[1]))):
            if size > self._left:
                self.found.unread.append(
                    Unreadable("BudgetUsedUp", f"more than {TOTAL_BYTES_MAX >> 20} MiB in places of secrets")
                )
                return
            if number % 100 == 0:
                facts.tell("secrets", number, len(notable))
            if (found.path, "ShellHistory") in self._seen or is_host_key(found.path):
                continue
            data = self._read(found, 0, FILE_BYTES_MAX)
            if b"PRIVATE KEY" in data or data.startswith(b"PuTTY-User-Key-File-"):
                self._keep(found.path, "PrivateKey", data, lambda data, _: private_keys(data))
            if _has_variables(found.path):
                self._keep(found.path, "Token", data, lambda _, lines: in_variables(lines))
            elif has_tokens(data) and b"\0" not in data:
                self._keep(found.path, "Token", data, lambda _, lines: tokens(lines))

    def _read(self, found: Found, at: int, length: int) -> bytes:
        """Read a piece of a file; nothing where it cannot be read, or the budget is used up, which is noted."""
        wanted = min(length, max(0, found.stat().size - at))
        if wanted > self._left:
            self._unread(found.path, Unreadable("BudgetUsedUp", f"more than {TOTAL_BYTES_MAX >> 20} MiB in places of secrets"))
            return b""
        self._left -= wanted

        def read() -> bytes:
            content = found.open()
            content.seek(at, os.SEEK_SET)
            return content.read(wanted)

        data = attempt(read)
        if isinstance(data, Unreadable):
            self._unread(found.path, data)
            return b""
        return data

    def _keep(self, path: str, kind: str, data: bytes, find: Find) -> None:
        file = FileText(path, data)
        secrets = attempt(lambda: find(data, file.lines))
        if isinstance(secrets, Unreadable):
            self._unread(path, secrets)
            return
        for secret in secrets:
            evidence = file.evidence()
            self._add(kind if secret.sure else "PasswordLike", Evidence(path, secret.line, secret.text, evidence.sha256))

    def _add(self, kind: str, evidence: Evidence) -> None:
        kept = self.found.kinds.setdefault(kind, [])
        if len(kept) < _MATCHES_MAX:
            kept.append(evidence)

    def _unread(self, path: str, reason: Unreadable) -> None:
        if len(self.found.unread) < _MATCHES_MAX:
            self.found.unread.append(Unreadable(reason.code, f"{path}: {reason}"))

    def _matching(self, path: str) -> list[str]:
        before, star, after = path.partition("*")
        if not star:
            return [path]
        names = attempt(lambda: self._tree.names(before))
        return [] if isinstance(names, Unreadable) else [f"{before}{name}{after}" for name in names[:_MATCHES_MAX]]


def _is_likely(path: str) -> bool:
    name = path.rpartition("/")[2][:_NAME_CHARACTERS_MAX]
    return _KEY_LIKE.fullmatch(name) is not None or _has_variables(path)


def _has_variables(path: str) -> bool:
    return path.startswith(_VARIABLES_IN) or _VARIABLES.fullmatch(path.rpartition("/")[2][:_NAME_CHARACTERS_MAX]) is not None
