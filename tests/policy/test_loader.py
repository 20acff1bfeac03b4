"""Policies: read with the place of every trouble, unknown keys refused, a region's part in the place of the default's."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.contracts.base import ShortText
from shared.contracts.gate import GatePolicy, VulnerabilityLimits
from shared.contracts.rules import KNOWN_ITEMS
from shared.policy import SHIPPED, Policy, PolicyError, load_policy, shipped_policy
from shared.policy.document import BYTES_MAX, DocumentError, read_document

HEAD = 'policy: 1\nname: mine\nversion: "7"\n'
GOOD = f"{HEAD}default:\n  gate:\n    items:\n      GUESTOS.Fstab: [failed]\n"


def load(tmp_path: Path, text: str | bytes) -> Policy:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_policy(file)


def troubles(tmp_path: Path, text: str | bytes) -> list[tuple[int, int, str, str]]:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    found = [(one.line, one.column, one.what, one.advice) for one in caught.value.troubles]
    assert str(caught.value).splitlines() == [f"{tmp_path}/mine.yaml:{a}:{b}: {c}: {d}" for a, b, c, d in found]
    assert all(advice for *_, advice in found)
    return found


ITEMS = f"{HEAD}default:\n  gate:\n    items:\n      "
LIMITS = f"{HEAD}default:\n  gate:\n    vulnerabilities:\n      "
BAD = {
    "nothing": ("", (1, 1, "the policy has no keys")),
    "a list": ("- a\n", (1, 1, "the policy has no keys")),
    "missing": ("policy: 1\nname: mine\nversion: '1'\n", (1, 1, "'default' is missing")),
    "unknown key": (f"{GOOD}quota: 3\n", (8, 1, "unknown key 'quota'")),
    "unknown key below": (f"{HEAD}default:\n  gates: {{}}\n", (5, 3, "unknown key 'gates'")),
    "another format": (GOOD.replace("policy: 1", "policy: 2"), (1, 1, "'policy' cannot be '2'")),
    "version as a number": (GOOD.replace('"7"', "7"), (3, 1, "'version' is no text")),
    "name": (GOOD.replace("mine", "My Policy"), (2, 1, "'name' has another form")),
    "long name": (GOOD.replace("mine", "m" * 25), (2, 1, "'name' has another form")),
    "unknown item": (f"{ITEMS}GUESTOS.Fstb: [failed]\n", (7, 7, "no item is called 'GUESTOS.Fstb'")),
    "unknown level": (f"{ITEMS}GUESTOS.Grub: [failed, bad]\n", (7, 30, "'GUESTOS.Grub' cannot be 'bad'")),
    "ok does not block": (f"{ITEMS}GUESTOS.Grub: [ok]\n", (7, 22, "'GUESTOS.Grub' cannot be 'ok'")),
    "no list": (f"{ITEMS}GUESTOS.Grub: failed\n", (7, 7, "'GUESTOS.Grub' is no list")),
    "severity": (f"{LIMITS}severity: grave\n", (7, 7, "'severity' cannot be 'grave'")),
    "yes is a text": (f"{LIMITS}known_exploited: yes\n", (7, 7, "'known_exploited' is wrong")),
    "age": (f"{LIMITS}database_age_days_max: 0\n", (7, 7, "'database_age_days_max' is wrong")),
    "age as text": (f"{LIMITS}database_age_days_max: '14'\n", (7, 7, "'database_age_days_max' is wrong")),
    "region's name": (f"{GOOD}regions:\n  US_EAST: {{}}\n", (9, 3, "'US_EAST' has another form")),
    "region's key": (f"{GOOD}regions:\n  us-1:\n    gaet: {{}}\n", (10, 5, "unknown key 'gaet'")),
    "empty part": (f"{HEAD}default:\n  gate:\n", (5, 3, "'gate' has no keys")),
    "a key twice": (f"{GOOD}name: other\n", (8, 1, "'name' is there twice, first in line 2")),
    "an item twice": (
        f"{ITEMS}GUESTOS.Grub: []\n      GUESTOS.Grub: []\n",
        (8, 7, "'GUESTOS.Grub' is there twice, first in line 7"),
    ),
    "no YAML": ("policy: [1\nname: x", (2, 5, "while parsing a flow sequence")),
    "a tab": (f"{HEAD}default:\n\tgate: {{}}\n", (5, 1, "while scanning for the next token")),
    "two documents": (f"{GOOD}---\n{GOOD}", (8, 1, "expected a single document")),
    "an alias": (f"{HEAD}default: &a {{}}\nregions: {{us-1: *a}}\n", (4, 10, "anchors and aliases are not read")),
    "a tag": (f"{HEAD}default: !!python/object:os.system {{}}\n", (4, 10, "tags are not read")),
    "a key that is a number": (f"{HEAD}1: x\n", (4, 1, "a key that is no text")),
    "a key that is a list": (f"{HEAD}? [a]\n: x\n", (4, 3, "a key that is no text")),
    "too deep": (f"policy: {'[' * 100_000}", (1, 24, "it is nested deeper than 16 levels")),
    "too much": ("a: [" + "1," * 60_000 + "]", (1, 99_995, "there is more in it than a policy holds")),
    "too large": ("#" * (BYTES_MAX + 1), (1, 1, f"it has {BYTES_MAX + 1} bytes")),
    "no UTF-8": (GOOD.encode() + b"# caf\xe9\n", (8, 6, "this is no UTF-8")),
    "a control character": (f"{GOOD}# \x00\n", (8, 3, "a control character")),
    "an escape sequence as key": (f'{GOOD}"\\e[2J": 1\n', (8, 1, r"unknown key '\x1b[2J'")),
}


@pytest.mark.parametrize(("text", "wanted"), BAD.values(), ids=BAD.keys())
def test_a_trouble_is_told_with_its_place(tmp_path: Path, text: str | bytes, wanted: tuple[int, int, str]) -> None:
    began = time.monotonic()
    line, column, what, _ = troubles(tmp_path, text)[0]
    assert (line, column) == wanted[:2], what
    assert what.startswith(wanted[2])
    assert time.monotonic() - began < 5


def test_every_trouble_is_told_at_once_from_the_top(tmp_path: Path) -> None:
    found = troubles(tmp_path, f"{ITEMS}GUESTOS.Fstb: [failed]\n    other: []\nregions: 1\nname2: x\n".replace("mine", "M"))
    assert [(line, what.split(":")[0]) for line, _, what, _ in found] == [
        (2, "'name' has another form"),
        (7, "no item is called 'GUESTOS.Fstb'"),
        (8, "unknown key 'other'"),
        (9, "'regions' is wrong"),
        (10, "unknown key 'name2'"),
    ]
    assert [advice for *_, advice in found][1:3] == ["is GUESTOS.Fstab meant?", "is others meant?"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda _path: None], ids=["folder", "pipe", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    make(tmp_path / "p.yaml")  # type: ignore[operator]
    with pytest.raises(PolicyError, match=r"p\.yaml:1:1: it (is no regular file|cannot be read)"):
        load_policy(tmp_path / "p.yaml")


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("[]{}:,-#&*!|>'\"%@`? \n\tabc01", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_document(text.encode("utf-8", "surrogatepass"))
    except DocumentError as error:
        refused = error
    else:
        return
    assert refused.position >= (1, 1)
    assert refused.advice


def test_scalars_are_what_they_look_like() -> None:
    text = "a: no\nb: 1:30\nc: 0x10\nd: 010\ne: 1e3\nf: 2026-01-01\ng: -5\nh: true\ni: ~\nj:\nk: <<\nl: 99999999999999999999\n"
    assert read_document(text.encode()).data == {
        "a": "no", "b": "1:30", "c": "0x10", "d": "010", "e": "1e3", "f": "2026-01-01", "g": -5, "h": True, "i": None, "j": None,
        "k": "<<", "l": "99999999999999999999",
    }  # fmt: skip


def test_a_region_has_its_own_in_the_place_of_the_default(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        f"{GOOD}      GUESTOS.Dhcp: []\n    vulnerabilities: {{severity: low, database_age_days_max: 9}}\n"
        "regions:\n  us-1:\n    gate:\n      missing_database: listed\n      items: {GUESTOS.Dhcp: [warning]}\n"
        "      vulnerabilities: {severity: never, database_age_days_max: null}\n  us-2: {}\n",
    )
    failed, warning = frozenset({"failed"}), frozenset({"warning"})
    default = GatePolicy(
        {"GUESTOS.Fstab": failed, "GUESTOS.Dhcp": frozenset()},
        vulnerabilities=VulnerabilityLimits(severity="low", database_age_days_max=9),
    )
    assert [policy.region(name).gate for name in (None, "us-2", "elsewhere")] == [default] * 3
    assert policy.region("us-1").gate == GatePolicy(
        {"GUESTOS.Fstab": failed, "GUESTOS.Dhcp": warning},
        missing_database_blocks=False,
        vulnerabilities=VulnerabilityLimits(severity=None, database_age_days_max=None),
    )


def test_the_label_names_the_files_bytes_and_fits_the_contract(tmp_path: Path) -> None:
    text = GOOD.replace("mine", "m" * 24).replace('"7"', '"' + "7" * 16 + '"')
    policy = load(tmp_path, text)
    assert policy.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert policy.label == f"{'m' * 24}:{'7' * 16}:{policy.digest[7:23]}"
    assert TypeAdapter(ShortText).validate_python(policy.label)
    assert load(tmp_path, text + "# another comment\n").label != policy.label


BLOCKING = {
    "failed, unsupported": "GUESTOS: SystemImage Platform Architecture Fstab Grub Virtio"
    " SECURITY: Encryption DiskFormat Malware Vulnerabilities",
    "failed": "GUESTOS: BCD Registry Hotfix Disk Sysprep Update Xen BootMgr SECURITY: Passwords Secrets RemoteAccess Claims",
}
"""The default table (domain, The image check): the levels at which an item blocks."""


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_policies_are_the_default_table(name: str) -> None:
    gate = shipped_policy(name).region().gate
    assert set(gate.items) == KNOWN_ITEMS
    wanted = dict.fromkeys(KNOWN_ITEMS, frozenset[str]())
    for levels, names in BLOCKING.items():
        group = ""
        for word in names.split():
            if word.endswith(":"):
                group = word[:-1]
            else:
                wanted[f"{group}.{word}"] = frozenset(levels.split(", "))
    assert gate.items == wanted
    assert gate.others == {"failed"}
    assert gate.missing_database_blocks == (name == "gate")
    assert gate.vulnerabilities == VulnerabilityLimits(True, "high", None, 14)


def test_a_shipped_policy_goes_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate").write_text(GOOD)
    assert load_policy("gate").label == shipped_policy("gate").label
    assert load_policy("./gate").name == "mine"
    with pytest.raises(KeyError):
        shipped_policy("mine")
