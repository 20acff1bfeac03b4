"""Checksums made right again after a change: whoever forges an image does so, and beyond a wrong one nothing is read.

The file systems' are not among them: the inspector does not look at those of ext4, xfs and btrfs.
"""

import struct
import zlib
from collections.abc import Callable

from tests.fuzz.mutant import Copy
from tests.inspector.volumes import DATA_AT, SECTOR, crc

from checksums import crc32c  # isort: skip - the inspector's module, by its bare name

KIB = 1024


def gpt(copy: Copy) -> None:
    """Both headers and the entries they name."""
    for at in (SECTOR, copy.size - SECTOR):
        header = bytearray(copy.read(at, SECTOR))
        if header[:8] != b"EFI PART":
            continue
        size, entries_lba, count, entry_size = *struct.unpack("<I", header[12:16]), *struct.unpack("<QII", header[72:88])
        if not 92 <= size <= SECTOR or count * entry_size > 1 << 20 or entries_lba > 1 << 40:
            continue
        struct.pack_into("<I", header, 88, zlib.crc32(copy.read(entries_lba * SECTOR, count * entry_size)))
        struct.pack_into("<I", header, 16, 0)
        struct.pack_into("<I", header, 16, zlib.crc32(header[:size]))
        copy.write(at, bytes(header))


def lvm(copy: Copy) -> None:
    """Label, header of the metadata area, and the text it names, of the physical volumes on whole MiB."""
    for start in range(0, copy.size, DATA_AT):
        label = bytearray(copy.read(start + SECTOR, SECTOR))
        if label[:8] != b"LABELONE":
            continue
        struct.pack_into("<I", label, 16, crc(bytes(label[20:])))
        copy.write(start + SECTOR, bytes(label))
        area = bytearray(copy.read(start + 4096, SECTOR))
        offset, size = struct.unpack("<QQ", area[40:56])
        if size < 1 << 20 and offset < 1 << 30:
            struct.pack_into("<I", area, 56, crc(copy.read(start + 4096 + offset, size)))
        struct.pack_into("<I", area, 0, crc(bytes(area[4:])))
        copy.write(start + 4096, bytes(area))


def vhd(copy: Copy) -> None:
    """The footer, its copy at the start, and the dynamic header."""
    footers = [(at, b"conectix", 512, 64) for at in (0, copy.size - 512)]
    for at, magic, length, place in (*footers, (512, b"cxsparse", 1024, 36)):
        data = bytearray(copy.read(at, length))
        if data[:8] == magic:
            data[place : place + 4] = bytes(4)
            struct.pack_into(">I", data, place, ~sum(data) & 0xFFFFFFFF)
            copy.write(at, bytes(data))


def vhdx(copy: Copy) -> None:
    """Headers and region tables."""
    for at, magic, length in ((64, b"head", 4), (128, b"head", 4), (192, b"regi", 64), (256, b"regi", 64)):
        data = bytearray(copy.read(at * KIB, length * KIB))
        if data[:4] == magic and data != copy.original(at * KIB, length * KIB):  # it takes its time
            struct.pack_into("<I", data, 4, 0)
            struct.pack_into("<I", data, 4, crc32c(bytes(data)))
            copy.write(at * KIB, bytes(data))


REPAIRS: dict[str, Callable[[Copy], None]] = {"gpt": gpt, "lvm": lvm, "vhd": vhd, "vhdx": vhdx}
