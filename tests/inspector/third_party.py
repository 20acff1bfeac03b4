"""A hive that nobody here made: `python -m tests.inspector.third_party` fetches and reads it. Slow, and not of the default suite.

It is the SYSTEM of a Windows 10 on VMware, from the test data in dissect.regf's source package (AGPL-3.0-or-later): 11 MB, which
is why it is fetched, by pip and by its digest, and not kept here.
"""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from dissect.regf import RegistryHive

from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import CURRENT, SOFTWARE, changed, hive
from tests.inspector.windows_roots import CONFIG, windows

from items import ITEMS, judge  # isort: skip
import windows.hive as parser  # isort: skip
from windows.hive import Hive, Key  # isort: skip

assert facts_of
REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / ".cache" / "third-party"
PACKAGE = "dissect.regf==3.14 --hash=sha256:0df90d4e68453dae1e75a50bd343d84ffc413f4e65d527c05f657b7ea9f30f33\n"
MEMBER = "dissect_regf-3.14/tests/_data/SYSTEM.gz"
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


def fetched() -> bytes:
    """Return the hive, from the source package where it was not kept."""
    kept = KEPT / "SYSTEM.gz"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "wanted"
            wanted.write_text(PACKAGE)
            command = (
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--require-hashes",
            )
            subprocess.run([*command, "--dest", folder, "-r", str(wanted)], check=True, env={**os.environ, "PIP_NO_INPUT": "1"})
            with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as package:
                content = package.extractfile(MEMBER)
                assert content is not None
                KEPT.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(content.read())
    return gzip.decompress(kept.read_bytes())


def compared(ours: Key, theirs: object) -> tuple[int, int]:
    """Compare a key and all beneath it with what dissect.regf reads; returns how many keys and values there were."""
    assert ours.name == theirs.name  # type: ignore[attr-defined]
    values = [(value.name or "(Default)", value.type, value.data) for value in ours.values()]
    assert values == [(value.name, value.type, value.data) for value in theirs.values()], ours.path  # type: ignore[attr-defined]
    keys, count, value_count = list(ours.subkeys()), 1, len(values)
    for one, other in zip(keys, theirs.subkeys(), strict=True):  # type: ignore[attr-defined]
        found = ours.subkey(one.name.swapcase())
        assert found is not None
        assert found.path == one.path
        below = compared(one, other)
        count, value_count = count + below[0], value_count + below[1]
    return count, value_count


def main() -> None:
    """Read every key and value as another reader does, and judge the items."""
    data = fetched()
    # Every key is looked up by name besides, which no inspection does.
    with patch.object(parser, "STEPS_MAX", 1 << 40):
        ours = Hive(f"{CONFIG}/SYSTEM", io.BytesIO(data), len(data))
        ours.check_bins()
        assert compared(ours.root, RegistryHive(io.BytesIO(data)).root()) == (KEYS, VALUES)
    software = hive(changed(SOFTWARE, (f"{CURRENT}\\Setup\\State", {"ImageState": "IMAGE_STATE_COMPLETE"})))
    kernel: dict[str, bytes | None] = {"/Windows/System32/ntoskrnl.exe": b""}
    facts = windows({f"{CONFIG}/SYSTEM": data, f"{CONFIG}/SOFTWARE": software, **kernel})
    began = time.process_time()
    found = {one.NAME: judge(one, facts) for one in ITEMS if one.NAME in WANTED}
    took = time.process_time() - began
    assert {name: (found[name].level, found[name].code) for name in WANTED} == WANTED, found
    sys.stdout.write(f"{KEYS:,} keys and {VALUES:,} values as dissect.regf reads them; all items judged in {took:.3f} s of CPU\n")


if __name__ == "__main__":
    main()
