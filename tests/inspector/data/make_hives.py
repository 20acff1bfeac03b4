"""Hives for the whole Windows images of the tests, written by hivex: run with the system's Python and Debian's python3-hivex.

    python3 tests/inspector/data/make_hives.py

hivex writes into a hive that is there, and none comes with it: the empty one that it starts from, a base block and a bin with one
key, is made here. Everything else in the files is hivex's own.
"""

import lzma
import struct
import sys
import tempfile
import uuid
from pathlib import Path

import hivex

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from windows_registry import SOFTWARE, SYSTEM, Keys, Writer, based, bcd, encoded, nested, on_gpt, on_mbr  # noqa: E402 - its folder is on the path from here on

PART_UUID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
START, SIGNATURE = 1 << 20, 0xCAFE0002


def empty() -> bytes:
    """Return a hive that holds nothing but its top key and the security descriptor that hivex copies to each new one."""
    writer = Writer()
    root = writer.key("ROOT", {}, is_root=True)
    own = 32 + len(writer.cells)
    security = writer.cell(struct.pack("<2sHIIII", b"sk", 0, own, own, 1, 20) + struct.pack("<BBHIIII", 1, 0, 0x8004, 0, 0, 0, 0))
    struct.pack_into("<I", writer.cells, root - 32 + 4 + 44, security)
    return based(writer.bins(), root)


def write(name: str, keys: Keys) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(empty())
        hive = hivex.Hivex(str(path), write=True)
        fill(hive, hive.root(), nested(keys))
        hive.commit(None)
        (HERE / f"{name}.hive.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))


def fill(hive: hivex.Hivex, node: int, tree: dict) -> None:
    values = []
    for name, found in tree.items():
        if isinstance(found, dict):
            fill(hive, hive.node_add_child(node, name), found)
        else:
            kind, data = encoded(found)
            values.append({"key": name, "t": kind, "value": data})
    hive.node_set_values(node, values)


write("windows-system", SYSTEM)
write("windows-software", SOFTWARE)
write("windows-other", {"Keys": {"Empty": ""}})
write("windows-bcd-gpt", bcd(on_gpt(uuid.UUID(PART_UUID).bytes_le), uefi=True))
write("windows-bcd-mbr", bcd(on_mbr(START, SIGNATURE), uefi=False))
