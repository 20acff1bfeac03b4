"""Passwords: found where they are weak, refused where a guess would cost too much, never told."""

import time
from ctypes import CDLL

import pytest

from tests.inspector.memory import facts_of

from findings import Item  # isort: skip
from items import security_passwords  # isort: skip
from security import guessing  # isort: skip
from security.crypts import LIBCRYPT, sha_crypt  # isort: skip
from security.hashes import scheme_of  # isort: skip

ROOT = "root:x:0:0:root:/root:/bin/bash"
SETTINGS = {
    "yescrypt": "$y$j75$abcdefgh$",
    "gost-yescrypt": "$gy$j75$abcdefgh$",
    "scrypt": "$7$6U..../....abcdefgh$",
    "bcrypt": "$2b$04$abcdefghijklmnopqrstuu",
    "sha512crypt": "$6$rounds=1000$abcdefgh$",
    "sha256crypt": "$5$rounds=1000$abcdefgh$",
    "md5crypt": "$1$abcdefgh$",
    "sha1crypt": "$sha1$1000$abcdefgh$",
    "sunmd5": "$md5$abcdefgh$",
    "bsdicrypt": "_J9..abcd",
    "descrypt": "ab",
    "nt": "$3$$",
}


def hashed(password: str, scheme: str = "sha512crypt") -> str:
    assert LIBCRYPT is not None
    found = LIBCRYPT(password.encode(), SETTINGS[scheme])
    assert found is not None, scheme
    return found


def judged(shadow: str, passwd: str = ROOT) -> Item:
    return security_passwords.judge(facts_of({"etc/passwd": passwd + "\n", "etc/shadow": shadow + "\n"}))


STRONG = "vQ7#rr2-Kpl0 zzT"


@pytest.mark.parametrize("scheme", SETTINGS)
def test_each_scheme_is_told_and_guessed(scheme: str) -> None:
    weak, strong = hashed("root", scheme), hashed(STRONG, scheme)
    found = scheme_of(weak)
    assert found is not None
    assert (found.name, found.is_affordable) == (scheme, True)
    item = judged(f"root:{weak}:20000::::::")
    assert (item.level, item.code) == ("failed", "Passwords.Guessable")
    assert (item.evidence[0].path, item.evidence[0].line) == ("/etc/shadow", 1)
    item = judged(f"root:{strong}:20000::::::")
    assert (item.level, item.value) == ("ok", "1 with a password, 0 locked")


WEAK = [
    ("root", "", "the empty password"),
    ("root", "root", "the account's name"),
    ("root", "toor", "a default password of known images"),
    ("pi", "raspberry", "a default password of known images"),
    ("alice", "alice123", "a variation of the account's name"),
    ("alice", "ecila", "a variation of the account's name"),
    ("alice", "P@ssw0rd", "most used passwords"),
    ("alice", "zaq12wsx", "most used passwords"),
]


@pytest.mark.parametrize(("account", "password", "kind"), WEAK)
def test_a_weak_password_is_found_and_not_told(account: str, password: str, kind: str) -> None:
    text = hashed(password)
    passwd = f"{ROOT}\n{account}:x:1000:1000::/home/{account}:/bin/bash" if account != "root" else ROOT
    item = judged(f"# a comment\n\n{account}:{text}:20000::::::", passwd)
    assert (item.level, item.code) == ("failed", "Passwords.Guessable")
    (evidence,) = item.evidence
    assert (evidence.path, evidence.line) == ("/etc/shadow", 3)
    assert evidence.text is not None
    assert evidence.text.startswith(f"the password of {account} is")
    assert kind in evidence.text
    told = str(item.as_document())
    assert text not in told
    assert not password or account == password or password not in told


LOCKED = ["*", "!", "!!", "*LK*", "x", "NP", "!$6$rounds=1000$abcdefgh$x", "!*"]


@pytest.mark.parametrize("field", LOCKED)
def test_a_locked_account_is_fine(field: str) -> None:
    item = judged(f"root:{field}:20000::::::")
    assert (item.level, item.value) == ("ok", "0 with a password, 1 locked")


EMPTY = [
    ("root::20000::::::", ROOT, "failed", "Passwords.Empty", "/etc/shadow"),
    (
        "root:*:1::::::\nweb::1::::::",
        f"{ROOT}\nweb:x:33:33::/var/www:/usr/sbin/nologin",
        "warning",
        "Passwords.EmptyWithoutShell",
        "/etc/shadow",
    ),
    ("root:*:1::::::\nweb::1::::::", f"{ROOT}\nweb:x:33:33::/var/www:/opt/nologin", "failed", "Passwords.Empty", "/etc/shadow"),
    ("root:*:1::::::\nweb::1::::::", f"{ROOT}\nweb:x:33:33::/var/www:", "failed", "Passwords.Empty", "/etc/shadow"),
    ("", "root::0:0::/root:/bin/sh", "failed", "Passwords.Empty", "/etc/passwd"),
    ("+::::::::", ROOT, "ok", None, None),
]


@pytest.mark.parametrize(("shadow", "passwd", "level", "code", "path"), EMPTY)
def test_accounts_without_a_password(shadow: str, passwd: str, level: str, code: str | None, path: str | None) -> None:
    item = judged(shadow, passwd)
    assert (item.level, item.code) == (level, code)
    assert [one.path for one in item.evidence] == ([path] if path else [])


BOMBS = [
    "$6$rounds=999999999$abcdefgh$" + "x" * 86,
    "$5$rounds=99999999999999$abcdefgh$x",
    "$2b$18$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234",
    "$2b$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234",
    "$y$jFT$abcdefgh$x",
    "$y$jzzzzz$abcdefgh$x",
    "$gy$jFT$abcdefgh$x",
    "$y$zzzzzzzzzz$abcdefgh$x",
    "$7$zzzzz.zzzz.abcdefgh$x",
    "$sha1$4294967295$abcdefgh$x",
    "$md5,rounds=4294967295$abcdefgh$$x",
    "_zzzzabcdefghijklmno",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_cost_bomb_is_not_guessed(bomb: str) -> None:
    began = time.perf_counter()
    item = judged(f"root:{bomb}:20000::::::")
    assert time.perf_counter() - began < 1
    assert (item.level, item.code) == ("unsupported", "Passwords.NotGuessed")
    assert "one guess" in str(item.evidence[0].text)
    assert bomb not in str(item.as_document())


@pytest.mark.parametrize(
    "text", ["$argon2id$v=19$m=65536,t=3,p=4$abcdefgh$x", "$y$$x", "$6$rounds=5$abc$x", "$2b$10$short", "$9$abc$x"]
)
def test_what_cannot_be_computed_is_said_so(text: str) -> None:
    item = judged(f"root:{text}:20000::::::")
    assert (item.level, item.code) == ("unsupported", "Passwords.NotGuessed")


def test_a_bomb_does_not_hide_the_weak_one_behind_it() -> None:
    lines = [f"u{number}:{BOMBS[0]}:1::::::" for number in range(50)]
    passwd = "\n".join([ROOT, *(f"u{number}:x:{number + 1000}:1::/:/bin/sh" for number in range(50))])
    item = judged("\n".join([*lines, f"root:{hashed('root')}:1::::::"]), passwd)
    assert (item.level, item.code, item.evidence[0].line) == ("failed", "Passwords.Guessable", 51)
    assert item.value == ("Passwords.Guessable", "Passwords.NotGuessed")


def test_the_budget_ends_guessing_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_passwords, "BUDGET_CPU_S", 0.2)
    costly = hashed(STRONG, "yescrypt").replace("$y$j75$", "$y$j9T$")
    names = [f"u{number}" for number in range(40)]
    passwd = "\n".join(f"{name}:x:{number + 1000}:1::/:/bin/sh" for number, name in enumerate(names))
    began = time.process_time()
    item = judged("\n".join(f"{name}:{costly}:1::::::" for name in names), passwd)
    # Each hash is looked at once before guessing begins, to see whether it makes sense.
    assert time.process_time() - began < 0.2 + 40 * 0.06 + 0.2
    assert (item.level, item.code) == ("unsupported", "Passwords.NotGuessed")
    assert "budget of 0.2 s" in str(item.evidence[0].text)


def test_the_likeliest_guesses_come_first_on_all_accounts() -> None:
    tried: list[tuple[str, str]] = []

    def crypt(password: bytes, setting: str) -> str:
        tried.append((setting, password.decode()))
        return "other"

    scheme = scheme_of(hashed("x"))
    assert scheme is not None
    targets = [guessing.Target(name, f"${name}", scheme, rank) for name, rank in (("bob", 1), ("root", 0))]
    outcomes = guessing.guess(targets, crypt=crypt)
    assert [one for one in tried if one[1]][:2] == [("$root", "root"), ("$bob", "bob")]
    assert outcomes == {"root": guessing.Outcome(), "bob": guessing.Outcome()}
    assert len(tried) == len(set(tried)) + 2  # the empty password is also the sample


@pytest.mark.parametrize("password", [b"", b"a", b"Hello world!", "pässword".encode(), b"x" * 200])
@pytest.mark.parametrize(
    "setting", ["$6$saltstring$", "$5$saltstring$", "$5$rounds=1401$longersaltthansixteen$", "$6$rounds=1000$a$", "$6$a"]
)
def test_without_libcrypt_the_sha_schemes_are_the_same(password: bytes, setting: str) -> None:
    assert CDLL("libcrypt.so.1") is not None
    assert LIBCRYPT is not None
    assert sha_crypt(password, setting) == LIBCRYPT(password, setting)
    assert sha_crypt(password, "$y$j9T$abc$") is None


def test_without_libcrypt_the_other_schemes_are_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "LIBCRYPT", None)
    for scheme in SETTINGS.keys() - guessing.SCHEMES_WITHOUT_LIBCRYPT:
        assert judged(f"root:{hashed('root', scheme)}:1::::::").level == "unsupported", scheme
    assert judged(f"root:{hashed('root')}:1::::::").level == "failed"


HOSTILE = [
    "root:" + "A" * 1_000_000,
    "\0" * 100_000,
    "root:$6$\x1b[31m$\n" * 10,
    "root:" + "$" * 300,
    ":::::::",
    "root",
    "root:$6$rounds=99999999999999999999999$a$b",
    "root:\udc80".encode(errors="surrogateescape").decode("latin1"),
]


@pytest.mark.parametrize("shadow", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_end(shadow: str) -> None:
    began = time.perf_counter()
    item = judged(shadow)
    assert time.perf_counter() - began < 2
    assert item.level in {"ok", "unsupported"}
    assert "\x1b" not in str(item.as_document())


def test_no_passwd_is_not_judged() -> None:
    item = security_passwords.judge(facts_of({"etc/fstab": ""}))
    assert (item.level, item.code) == ("unsupported", "Passwords.NotReadable")
    item = judged("x" * (5 << 20))
    assert (item.level, item.code) == ("unsupported", "Passwords.NotReadable")
