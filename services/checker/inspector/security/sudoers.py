# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who becomes root without a password, by sudo or doas. Sources: sudoers(5), doas.conf(5)."""

import re
from dataclasses import dataclass, field

from facts import Facts
from findings import Evidence, FileText, Unreadable
from security.accounts import Account, accounts, groups
from tree import Tree

_DEPTH_MAX = 16
_FILES_MAX = 256
_LINES_MAX = 20_000
_ALIAS = re.compile(r"(User|Runas|Cmnd)_Alias\s+(.+)")
_RUN_AS = re.compile(r"\(([^()]*)\)")
_TAG = re.compile(r"([A-Z_]{2,20}):")
_BRACES = re.compile(r"\{[^{}]*\}")
_DOAS_OPTIONS = frozenset({"nopass", "persist", "keepenv", "nolog", "setenv"})
# What gives a root shell all the same.
_SHELLS = frozenset(
    {"ALL"} | {f"{folder}/{name}" for folder in ("/bin", "/usr/bin") for name in ("sh", "bash", "dash", "zsh", "su")}
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line that lets `who` run something as root without a password; `who` is as the file has it: name, %group, #uid, ALL."""

    who: tuple[str, ...]
    evidence: Evidence


@dataclass(slots=True)
class Sudoers:
    """The rules found, and why a part could not be read."""

    rules: list[Rule] = field(default_factory=list)
    unread: list[Unreadable] = field(default_factory=list)


def sudoers(facts: Facts) -> Sudoers:
    """Probe: the rules of sudoers and doas.conf that ask for no password."""
    found = Sudoers()
    lines = _Reader(facts.files(), found)
    for path in ("/etc/sudoers", "/usr/etc/sudoers"):
        if facts.files().find_file(path) is not None:
            lines.read(path, 0)
            break
    found.rules = _rules(lines.lines)
    for path in ("/etc/doas.conf", *(f"/etc/doas.d/{name}" for name in facts.files().names("/etc/doas.d")[:_FILES_MAX])):
        file = facts.files().read_text(path)
        if file is not None:
            found.rules += _doas(file)
    return found


def whom(facts: Facts, rule: Rule) -> list[Account]:
    """Return the accounts that the rule means, without root; who cannot be looked up is nobody."""
    known, membership = facts.get(accounts), facts.get(groups)
    if isinstance(known, Unreadable) or isinstance(membership, Unreadable):
        return []
    meant = []
    for account in known:
        own = {name for name, members in membership.members.items() if account.name in members}
        own.add(membership.names.get(account.gid, ""))
        names = {"ALL", account.name, f"#{account.uid}", f"%#{account.gid}", *(f"%{group}" for group in own if group)}
        if account.uid and any(who in names for who in rule.who) and f"!{account.name}" not in rule.who:
            meant.append(account)
    return meant


class _Reader:
    """Reads sudoers and what it includes, continued lines joined."""

    def __init__(self, tree: Tree, found: Sudoers) -> None:
        self._tree, self._found, self._files_left = tree, found, _FILES_MAX
        self.lines: list[tuple[FileText, int, str]] = []

    def read(self, path: str, depth: int) -> None:
        """Read one file; sudo reads the names of a folder in order, without those with a dot or a tilde at the end."""
        self._files_left -= 1
        if depth > _DEPTH_MAX or self._files_left < 0 or len(self.lines) > _LINES_MAX:
            raise Unreadable("TooManyIncludes", f"{path} is included too deep, or there is too much")
        try:
            file = self._tree.read_text(path)
        except Unreadable as error:
            self._found.unread.append(error)
            return
        if file is None:
            return
        for number, line in _joined(file.lines[:_LINES_MAX]):
            words = line.split()
            if words and words[0] in {"#include", "@include", "#includedir", "@includedir"} and len(words) > 1:
                target = words[1].strip('"').replace("\\ ", " ")
                target = target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
                if words[0].endswith("dir"):
                    for name in self._tree.names(target):
                        if "." not in name and not name.endswith("~"):
                            self.read(f"{target}/{name}", depth + 1)
                else:
                    self.read(target, depth + 1)
            else:
                self.lines.append((file, number, line))


def _joined(lines: list[str]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines, start=1):
        first, text = begun or (number, "")
        text += line[:4096]
        if text.endswith("\\") and len(text) < 65536:
            begun = (first, text[:-1] + " ")
            continue
        begun = None
        found.append((first, text.strip()))
    return found if begun is None else [*found, (begun[0], begun[1].strip())]


def _rules(lines: list[tuple[FileText, int, str]]) -> list[Rule]:
    users: dict[str, list[str]] = {}
    commands: dict[str, list[str]] = {}
    never_asks: list[str] = []
    specs: list[tuple[FileText, int, str]] = []
    for file, number, line in lines:
        if not line or (line.startswith("#") and not line[1:2].isdigit()):
            continue
        alias = _ALIAS.match(line)
        if alias is not None:
            kind = {"User": users, "Cmnd": commands}.get(alias[1])
            for one in alias[2].split(":") if kind is not None else ():
                name, _, members = one.partition("=")
                kind[name.strip()] = [member.strip() for member in members.split(",")]  # type: ignore[index]
        elif line.startswith("Defaults"):
            never_asks += _never_asks(line)
        else:
            specs.append((file, number, line))
    found = []
    for file, number, line in specs:
        who_and_hosts, separator, rest = line.partition("=")
        who = _who(who_and_hosts)
        who = [one for name in who for one in users.get(name, [name])]
        free = any(one in never_asks for one in ("ALL", *who))
        if separator and who and _runs_root(rest, commands, asks=not free):
            found.append(Rule(tuple(who), file.evidence(number)))
    return found


def _who(text: str) -> list[str]:
    """Return the list before the hosts: commas join it, blanks beside them too; the last word is the host list."""
    words = re.sub(r" ?, ?", ",", " ".join(text.split())).split(" ")
    return [one for one in words[0].split(",") if one] if len(words) > 1 else []


def _never_asks(line: str) -> list[str]:
    """Return whom a Defaults line frees from passwords."""
    head, _, settings = line.partition(" ")
    if "!authenticate" not in [one.strip() for one in settings.replace("\t", " ").split(",")]:
        return []
    return [head[len("Defaults:") :]] if head.startswith("Defaults:") else ["ALL"] if head == "Defaults" else []


def _runs_root(text: str, commands: dict[str, list[str]], *, asks: bool) -> bool:
    """Whether the list of commands has one that gives root's powers, without a password."""
    as_root = True
    runs = [one.strip() for one in _RUN_AS.sub(lambda found: found[0].replace(",", "\0"), text).split(",")]
    for one in runs:
        command = one
        run_as = _RUN_AS.match(command)
        if run_as is not None:
            names = [name.strip() for name in run_as[1].partition(":")[0].split("\0")]
            as_root = names == [""] or any(name in {"ALL", "root", "#0"} for name in names)
            command = command[run_as.end() :].strip()
        while tag := _TAG.match(command):
            asks = False if tag[1] == "NOPASSWD" else True if tag[1] == "PASSWD" else asks
            command = command[tag.end() :].strip()
        meant = commands.get(command, command.split()[:1])
        if as_root and not asks and any(each in _SHELLS for each in meant):
            return True
    return False


def _doas(file: FileText) -> list[Rule]:
    """Return the rules of doas.conf that permit everything as root without a password."""
    found = []
    for number, line in enumerate(file.lines[:_LINES_MAX], start=1):
        words = _BRACES.sub(" ", line[:4096].partition("#")[0]).split()
        if not words or words[0] != "permit" or "nopass" not in words or "cmd" in words:
            continue
        if "as" in words and words[words.index("as") + 1 : words.index("as") + 2] != ["root"]:
            continue
        who = next((one for one in words[1:] if one not in _DOAS_OPTIONS), None)
        if who is not None:
            found.append(Rule((f"%{who[1:]}" if who.startswith(":") else who,), file.evidence(number)))
    return found
