"""Files made to tire the search for secrets: each ends in time, and what was not looked at is said so."""

import io
import time
from typing import BinaryIO

import pytest

from tests.inspector.memory import File, MemoryFileSystem, facts_of

from filesystems.base import Stat  # isort: skip
from findings import Item  # isort: skip
from items import security_secrets  # isort: skip

PASSWD = "root:x:0:0:root:/root:/bin/bash\n"
Files = dict[str, File | bytes | str]
SIZE = 200_000
BAITS = {
    "endless line": "x" * SIZE,
    "endless assignment": "PASSWORD=" + "a1B" * SIZE,
    "endless name": "a_" * SIZE + "=x",
    "names without values": "password=" * (SIZE // 9),
    "addresses": "a://" * (SIZE // 4),
    "addresses with colons": "a://b:" * (SIZE // 6),
    "mysql": "mysql -p " * (SIZE // 9),
    "curl": "curl -u " * (SIZE // 8),
    "echo": "echo a:" * (SIZE // 7),
    "sk": "sk-" * (SIZE // 3),
    "sk and letters": "sk-" + "a" * SIZE,
    "docker login": "docker login " * (SIZE // 13),
    "quotes": "\"'" * (SIZE // 2),
    "placeholders": "password=" + "." * SIZE,
    "words of lists": ("password=" + "changetest" * 25 + "\\ ") * (SIZE // 262),
    "words with digits": ("password=" + "a1" * 120 + "~! ") * (SIZE // 252),
    "words and signs": ("password=" + "a-" * 120 + "%1 ") * (SIZE // 252),
    "words in camel case": ("password=" + "Abc" * 80 + "%1 ") * (SIZE // 252),
    "dots": "api_key=" + "a..b" * (SIZE // 4),
    "nul": "\0" * SIZE,
    "escapes": "password=\x1b[31mabcdef12345\n" * 100,
    "begins of keys": "-----BEGIN RSA PRIVATE KEY-----\n" * (SIZE // 32),
    "keys of nothing": "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n" * (SIZE // 54),
    "headers in keys": "-----BEGIN PRIVATE KEY-----\n" + "a: b\n" * (SIZE // 5) + "-----END PRIVATE KEY-----\n",
    "deep json": "[" * SIZE,
    "wide json": "[" + "{}," * (SIZE // 3) + "{}]",
    "keys": "ssh-rsa AAAA " * (SIZE // 13),
    "blanks": " " * SIZE,
    "lines": "\n" * SIZE,
}
PLACES = (".bash_history", ".env", ".ssh/authorized_keys", ".docker/config.json", ".pgpass", ".npmrc", ".kube/config", "x.pem")


def judged(files: Files) -> Item:
    return security_secrets.judge(facts_of({"etc/passwd": PASSWD} | files))


@pytest.mark.parametrize("bait", BAITS.values(), ids=BAITS.keys())
def test_a_bait_is_read_in_time(bait: str) -> None:
    began = time.process_time()
    item = judged({f"/root/{place}": bait for place in PLACES})
    assert time.process_time() - began < 8
    document = str(item.as_document())
    assert "\x1b" not in document
    assert len(document) < 40_000


class SparseFileSystem(MemoryFileSystem):
    """One whose histories have 10 GB of zeros between a first line and a last one."""

    SIZE = 10 * 2**30

    def stat(self, node: str) -> Stat:
        found = super().stat(node)
        if not node.endswith("_history"):
            return found
        return Stat(found.kind, found.permissions, found.uid, found.gid, self.SIZE, found.mtime)

    def open(self, node: str) -> BinaryIO:
        return Sparse(super().open(node).read(), self.SIZE) if node.endswith("_history") else super().open(node)


class Sparse(io.RawIOBase):
    """Zeros, with `data` at the start and at the end."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = offset
        return offset

    def read(self, length: int = -1) -> bytes:
        assert 0 <= length <= 4 * 2**20, "more than anybody should ask for at once"
        length = min(length, self._size - self._at)
        piece = bytearray(length)
        for start in (0, self._size - len(self._data)):
            for number, byte in enumerate(self._data):
                if 0 <= start + number - self._at < length:
                    piece[start + number - self._at] = byte
        self._at += length
        return bytes(piece)


def test_a_sparse_history_of_10_gb() -> None:
    facts = facts_of({"etc/passwd": PASSWD})
    system = SparseFileSystem({"etc/passwd": PASSWD, "root/.bash_history": "export DB_PASSWORD=Zq8rT2mK9w\n"})
    facts.files().root = system
    began = time.process_time()
    item = security_secrets.judge(facts)
    assert time.process_time() - began < 8
    assert (item.level, item.code) == ("failed", "Secrets.Token")
    texts = [str(one.text) for one in item.evidence]
    assert any(text.endswith("near the end") for text in texts)
    assert any("10,737,418,240 bytes" in text for text in texts)


def test_a_million_files_are_not_all_read() -> None:
    files: Files = {f"/root/{number // 1000}/{number}": "x" for number in range(20_000)}
    item = judged(files)
    assert (item.level, item.code) == ("unsupported", "Secrets.NotAllSeen")
    item = judged(files | {"/root/.aws/credentials": "aws_secret_access_key = wq7Zt/9LxV4bNc8RkWs1YpHd6GfJ3aTe5UvBoKi+\n"})
    assert (item.level, item.code) == ("failed", "Secrets.Credentials")
    assert "Secrets.NotAllSeen" in item.value


def test_the_budget_of_bytes_is_kept_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from security.leftovers import search

    monkeypatch.setattr(search, "TOTAL_BYTES_MAX", 100_000)
    item = judged({f"/root/{number}": "x" * 10_000 for number in range(50)})
    assert (item.level, item.code) == ("unsupported", "Secrets.NotAllSeen")


LINKS: dict[str, Files] = {
    "loop": {"/root/.bash_history": File(link=".bash_history"), "/root/.aws": File(link="/root/.aws")},
    "host": {"/root/.netrc": File(link="/proc/self/environ"), "/root/.env": File(link="../../../../etc/shadow")},
    "folder for a file": {"/root/.netrc/x": "", "/root/.bash_history/x": ""},
    "homes of one another": {"/home/a": File(link="b"), "/home/b": File(link="a")},
}


@pytest.mark.parametrize("files", LINKS.values(), ids=LINKS.keys())
def test_links_end(files: Files) -> None:
    assert judged(files).level in {"ok", "unsupported"}


def test_many_homes_are_bounded() -> None:
    passwd = "".join(f"u{number}:x:{number}:1::/srv/h/{number}:/bin/sh\n" for number in range(15_000))
    began = time.process_time()
    assert judged({"etc/passwd": passwd, **{f"/srv/h/{number}/x": "" for number in range(3000)}}).level in {"ok", "unsupported"}
    assert time.process_time() - began < 10
