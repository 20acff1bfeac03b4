# SPDX-License-Identifier: AGPL-3.0-or-later
"""ifupdown and ifupdown-ng: /etc/network/interfaces (Debian, Alpine). Source: interfaces(5) of both."""

import fnmatch
from collections.abc import Iterator

from findings import FileText
from linux.network.model import FILES_MAX, Setting, is_fixed_address, is_loopback
from linux.text import LINES_MAX
from tree import Tree

_NAME = "ifupdown"
_DHCP = ("dhcp", "bootp", "auto")
_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def settings(tree: Tree) -> Iterator[Setting]:
    """Yield what each `iface` stanza says, of the file and of those that it sources."""
    for file in _files(tree):
        yield from _stanzas(file)


def _files(tree: Tree) -> list[FileText]:
    todo, done = ["/etc/network/interfaces"], dict[str, FileText]()
    while todo and len(done) < FILES_MAX:
        path = todo.pop(0)
        file = None if path in done else tree.read_text(path)
        if file is None:
            continue
        done[path] = file
        for line in file.lines[:LINES_MAX]:
            words = line.split()
            if len(words) > 1 and words[0] in {"source", "source-directory"}:
                todo += [found for word in words[1:] for found in _sourced(tree, word, is_folder=words[0] != "source")]
    return list(done.values())


def _sourced(tree: Tree, pattern: str, *, is_folder: bool) -> list[str]:
    pattern = pattern if pattern.startswith("/") else f"/etc/network/{pattern}"
    if is_folder:
        # Of a folder only names of letters, digits, `_` and `-` count, as with run-parts(8).
        return [f"{pattern.rstrip('/')}/{name}" for name in tree.names(pattern)[:FILES_MAX] if _ALPHABET.issuperset(name)]
    folder, _, last = pattern.rpartition("/")
    if len(last) > 64 or last.count("*") > 4:
        return []
    return [f"{folder}/{name}" for name in tree.names(folder)[:FILES_MAX] if fnmatch.fnmatchcase(name, last)]


def _stanzas(file: FileText) -> Iterator[Setting]:
    interface, method = "", ""
    for number, line in enumerate(file.lines[:LINES_MAX], start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        name, rest = words[0], words[1:]
        if name in {"iface", "auto", "allow-hotplug", "mapping", "source", "source-directory"} or name.startswith("allow-"):
            interface, method = (rest[0], " ".join(rest[1:])) if name == "iface" and rest else ("", "")
            last = rest[-1] if len(rest) > 2 else ""
            if interface and not is_loopback(interface) and last in (*_DHCP, "static"):
                yield Setting(_NAME, interface, "static" if last == "static" else "dhcp", file, number)
        elif interface and not is_loopback(interface) and not method.split():
            # ifupdown-ng infers the method from what the stanza holds.
            if name == "use" and "dhcp" in rest:
                yield Setting(_NAME, interface, "dhcp", file, number)
            elif name == "address" and rest and is_fixed_address(rest[0]):
                yield Setting(_NAME, interface, "static", file, number)
