"""A hive that nobody here made: the SYSTEM of a Windows 10 on VMware, from the test data in dissect.regf's source package."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from dissect.regf import RegistryHive

from tests.images.conftest import COUNTED
from tests.images.inputs import one
from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import CURRENT, SOFTWARE, changed, hive
from tests.inspector.windows_roots import CONFIG, windows

from items import ITEMS, judge  # isort: skip
import windows.hive as parser  # isort: skip

if TYPE_CHECKING:
    from windows.hive import Key

assert facts_of
KEYS, VALUES = 33_317, 74_454
WANTED = {
    "GUESTOS.Architecture": ("ok", None),
    "GUESTOS.Registry": ("ok", None),
    "GUESTOS.Disk": ("ok", None),
    "GUESTOS.Xen": ("ok", None),
    "GUESTOS.Server": ("ok", None),
    "GUESTOS.Virtio": ("failed", "Virtio.NoDriver"),
    "GUESTOS.DesktopConfig": ("warning", "DesktopConfig.RemoteDesktopOff"),
    "GUESTOS.Sysprep": ("warning", "Sysprep.NotGeneralized"),
    "GUESTOS.Update": ("ok", None),
}
"""What the items say of it, in a system whose other files and hive are ours: never generalized, no virtio, no remote desktop."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return one("dissect.regf", "tests/_data/SYSTEM.gz", tmp_path_factory.mktemp("hive") / "SYSTEM").read_bytes()


def compared(ours: Key, theirs: object) -> tuple[int, int]:
    """Compare a key and all beneath it with what dissect.regf reads; return how many keys and values there were."""
    assert ours.name == theirs.name  # type: ignore[attr-defined]
    values = [(value.name or "(Default)", value.type, value.data) for value in ours.values()]
    assert values == [(value.name, value.type, value.data) for value in theirs.values()], ours.path  # type: ignore[attr-defined]
    keys, count, value_count = list(ours.subkeys()), 1, len(values)
    for key, other in zip(keys, theirs.subkeys(), strict=True):  # type: ignore[attr-defined]
        found = ours.subkey(key.name.swapcase())
        assert found is not None
        assert found.path == key.path
        below = compared(key, other)
        count, value_count = count + below[0], value_count + below[1]
    return count, value_count


def test_every_key_and_value_is_read_as_dissect_regf_reads_it(system: bytes) -> None:
    # Every key is looked up by name besides, which no inspection does.
    with patch.object(parser, "STEPS_MAX", 1 << 40):
        ours = parser.Hive(f"{CONFIG}/SYSTEM", io.BytesIO(system), len(system))
        ours.check_bins()
        assert compared(ours.root, RegistryHive(io.BytesIO(system)).root()) == (KEYS, VALUES)
    COUNTED["keys of a hive of others, compared with dissect.regf"] += KEYS


def test_the_items_judge_it(system: bytes) -> None:
    software = hive(changed(SOFTWARE, (f"{CURRENT}\\Setup\\State", {"ImageState": "IMAGE_STATE_COMPLETE"})))
    kernel: dict[str, bytes | None] = {"/Windows/System32/ntoskrnl.exe": b""}
    facts = windows({f"{CONFIG}/SYSTEM": system, f"{CONFIG}/SOFTWARE": software, **kernel})
    found = {each.NAME: judge(each, facts) for each in ITEMS if each.NAME in WANTED}
    assert {name: (item.level, item.code) for name, item in found.items()} == WANTED
