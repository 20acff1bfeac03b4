"""Each container: every byte of its virtual disk, what is refused by its header, and the second opinion of oslo.utils."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from isal import isal_zlib
from oslo_utils.imageutils import format_inspector

from services.checker.adapters.inspector_process import PROGRAM
from tests.inspector.disks import MIB, item, report_of, tool, verdict
from tests.inspector.memory import facts_of

import containers  # isort: skip
from containers.header import Header  # isort: skip
from findings import Unreadable  # isort: skip

assert facts_of, PROGRAM

KINDS = {
    "qcow2": ("qcow2", ()),
    "qcow2-v2": ("qcow2", ("-o", "compat=0.10")),
    "qcow2-512": ("qcow2", ("-o", "cluster_size=512")),
    "qcow2-zlib": ("qcow2", ("-c",)),
    "qcow2-zstd": ("qcow2", ("-c", "-o", "compression_type=zstd")),
    "vmdk": ("vmdk", ("-o", "subformat=monolithicSparse")),
    "vmdk-stream": ("vmdk", ("-o", "subformat=streamOptimized")),
    "vmdk-footer": ("vmdk", ("-o", "subformat=streamOptimized")),
    "vhd-dynamic": ("vpc", ("-o", "subformat=dynamic,force_size=on")),
    "vhd-fixed": ("vpc", ("-o", "subformat=fixed,force_size=on")),
    "vhdx-dynamic": ("vhdx", ("-o", "subformat=dynamic,block_size=1M")),
    "vhdx-fixed": ("vhdx", ("-o", "subformat=fixed")),
    "vdi-dynamic": ("vdi", ()),
    "vdi-fixed": ("vdi", ("-o", "static=on")),
}
GAPS = {
    kind: driver
    for kind, (driver, options) in KINDS.items()
    if not options or ("fixed" not in kind and kind not in {"vmdk-stream", "vmdk-footer"})
}


def format_of(kind: str) -> str:
    return kind.partition("-")[0]


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk of 12.5 MiB: noise, text, and holes where blocks are left out."""
    path = tmp_path_factory.mktemp("plain") / "plain.raw"
    noise = random.Random(7)
    with path.open("wb") as file:
        for at, length in ((0, 70_000), (2 * MIB + 4096, 3 * MIB), (7 * MIB, 512), (11 * MIB, MIB), (12 * MIB + 400_000, 1536)):
            file.seek(at)
            file.write(noise.randbytes(length // 2) + b"text of a file\n" * (length // 30))
    tool("truncate", "-s", str(12 * MIB + 512 * 1024), path)
    return path


@pytest.fixture(scope="session")
def made(plain: Path) -> Callable[[str], Path]:
    """Give an image of a kind, made once."""
    known: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in known:
            driver, options = KINDS[kind]
            known[kind] = plain.with_name(f"{kind}.img")
            tool("qemu-img", "convert", "-O", driver, *options, plain, known[kind])
            if kind == "vmdk-footer":
                add_footer(known[kind])
        return known[kind]

    return make


def add_footer(path: Path) -> None:
    """Make a stream-optimised VMDK as VMware streams it: the place of its directory stands in a footer, not in the header."""
    content = bytearray(path.read_bytes())
    content += bytes(-len(content) % 512)
    header = bytes(content[:512])
    content[56:64] = b"\xff" * 8
    marker = struct.pack("<QII", 1, 0, 3) + bytes(496)
    path.write_bytes(bytes(content) + marker + header + bytes(512))


def look(path: Path, stated: str | None = None) -> Header:
    with path.open("rb") as file:
        return containers.look(file.fileno(), stated)


def read_all(path: Path, step: int) -> bytes:
    with path.open("rb") as file:
        header = containers.look(file.fileno(), None)
        assert not header.troubles
        disk = containers.open_disk(file.fileno(), header)
        pieces = []
        while piece := disk.read(step):
            pieces.append(piece)
        return b"".join(pieces)


def codes(path: Path) -> set[str]:
    return {trouble.code.removeprefix("DiskFormat.") for trouble in look(path).troubles}


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_in_steps_small_odd_and_large(made: Callable[[str], Path], plain: Path, kind: str) -> None:
    image, wanted = made(kind), plain.read_bytes()
    header = look(image, format_of(kind))
    assert (header.format, header.virtual_size_bytes, header.troubles) == (format_of(kind), len(wanted), ())
    for step in (4096, 300_007, 9 * MIB):
        assert read_all(image, step) == wanted


@pytest.mark.parametrize("kind", GAPS)
def test_blocks_in_disorder(tmp_path: Path, kind: str) -> None:
    """Blocks written from the last to the first do not follow each other in the file: reads across them must not run on."""
    image, raw = tmp_path / "image", tmp_path / "raw"
    driver, options = KINDS[kind]
    tool("qemu-img", "create", "-q", "-f", driver, *(one for one in options if one != "-c"), image, "8M")
    writes = [word for number in (5, 3, 2, 6, 0) for word in ("-c", f"write -P {number + 1} {number}M 1M")]
    tool("qemu-io", "-f", driver, *writes, image)
    tool("qemu-img", "convert", "-f", driver, "-O", "raw", image, raw)
    assert read_all(image, 3 * MIB + 512) == raw.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere_is_found_before_anything_is_read(made: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    """Cut within every header and table and just before the end: refused, and never for another format's sake but raw's."""
    whole = made(kind).read_bytes()
    cut = tmp_path / "cut"
    for size in (
        *range(4, 1200, 61),
        4096,
        65_537,
        66_000,
        131_100,
        196_700,
        200_000,
        262_200,
        1_050_000,
        MIB + 9,
        len(whole) - (66_000 if kind == "vmdk-stream" else 513),
    ):
        if size >= len(whole):
            continue
        cut.write_bytes(whole[:size])
        header = look(cut)
        if header.format == "raw":  # the magic itself is gone: a fixed VHD without its footer, a header shorter than its magic
            assert kind == "vhd-fixed" or size < 100
        else:
            assert codes(cut) & {"Truncated", "Malformed"}, (size, header)


def change(source: Path, target: Path, at: int, data: bytes) -> Path:
    content = bytearray(source.read_bytes())
    at = at if at >= 0 else len(content) + at
    content[at : at + len(data)] = data
    target.write_bytes(content)
    return target


def vhd_footer(content: bytearray, at: int, field: int, data: bytes) -> None:
    """Change a field of a VHD footer and make its checksum right again."""
    content[at + field : at + field + len(data)] = data
    content[at + 64 : at + 68] = bytes(4)
    content[at + 64 : at + 68] = struct.pack(">I", ~sum(content[at : at + 512]) & 0xFFFFFFFF)


LIES = {
    "vdi parent": ("vdi-dynamic", 440, b"\x01" * 16, "BackingFile"),
    "vdi differencing": ("vdi-dynamic", 76, struct.pack("<I", 4), "BackingFile"),
    "vdi version": ("vdi-dynamic", 68, struct.pack("<I", 2 << 16), "UnknownVersion"),
    "vdi 2^62": ("vdi-dynamic", 368, struct.pack("<Q", 1 << 62), "TooLarge"),
    "vdi blocks of 0": ("vdi-dynamic", 376, struct.pack("<I", 0), "Malformed"),
    "vdi 2^32 blocks": ("vdi-dynamic", 384, struct.pack("<I", 0xFFFFFFFF), "Malformed"),
    "vdi map in the header": ("vdi-dynamic", 340, struct.pack("<I", 8), "Malformed"),
    "vdi block beyond the end": ("vdi-dynamic", 512, struct.pack("<I", 0xFFFFFF), "Truncated"),
    "vmdk version": ("vmdk", 4, struct.pack("<I", 9), "UnknownVersion"),
    "vmdk 2^62": ("vmdk", 12, struct.pack("<Q", 1 << 62), "TooLarge"),
    "vmdk grains of 0": ("vmdk", 20, struct.pack("<Q", 0), "Malformed"),
    "vmdk grains of 3": ("vmdk", 20, struct.pack("<Q", 3), "Malformed"),
    "vmdk no entries": ("vmdk", 44, struct.pack("<I", 0), "Malformed"),
    "vmdk 2^32 entries": ("vmdk", 44, struct.pack("<I", 0xFFFFFFFF), "Malformed"),
    "vmdk directory at 2^60": ("vmdk", 56, struct.pack("<Q", 1 << 60), "Truncated"),
    "vmdk descriptor at 2^63": ("vmdk", 28, struct.pack("<Q", 1 << 63), "ExternalDataFile"),
    "vmdk no descriptor": ("vmdk", 36, struct.pack("<Q", 0), "ExternalDataFile"),
    "vmdk footer of a footer": ("vmdk-footer", -1024 + 56, b"\xff" * 8, "Truncated"),
    "vmdk without its footer": ("vmdk-footer", -1024, b"\0" * 8, "Truncated"),
    "vhdx no signature": ("vhdx-dynamic", 65536, bytes(4096) + bytes(61440) + bytes(4096), "Malformed"),
    "vhdx region table": ("vhdx-dynamic", 196608, bytes(131072), "Malformed"),
    "vhd checksum": ("vhd-dynamic", -512 + 20, b"\xff", "Malformed"),
}


@pytest.mark.parametrize(("kind", "at", "data", "code"), LIES.values(), ids=LIES.keys())
def test_a_header_that_lies(made: Callable[[str], Path], tmp_path: Path, kind: str, at: int, data: bytes, code: str) -> None:
    assert code in codes(change(made(kind), tmp_path / "lie", at, data))


@pytest.mark.parametrize(
    ("field", "data", "code"),
    [
        (60, struct.pack(">I", 4), "BackingFile"),
        (60, struct.pack(">I", 9), "Malformed"),
        (48, struct.pack(">Q", 1 << 62), "TooLarge"),
        (48, struct.pack(">Q", 1 << 40), "Malformed"),
        (16, struct.pack(">Q", 1 << 60), "Truncated"),
        (16, struct.pack(">Q", 4), "Malformed"),
    ],
)
def test_a_vhd_footer_that_lies(made: Callable[[str], Path], tmp_path: Path, field: int, data: bytes, code: str) -> None:
    content = bytearray(made("vhd-dynamic").read_bytes())
    vhd_footer(content, len(content) - 512, field, data)
    (tmp_path / "lie").write_bytes(content)
    assert code in codes(tmp_path / "lie")


def test_a_vhdx_with_a_parent_or_a_log(made: Callable[[str], Path], tmp_path: Path) -> None:
    from checksums import crc32c

    content = bytearray(made("vhdx-dynamic").read_bytes())
    at = content.index(bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b"))
    table = content.rindex(b"metadata", 0, at)
    value_at = table + struct.unpack("<I", content[at + 16 : at + 20])[0]
    child = bytearray(content)
    child[value_at + 4] |= 2
    (tmp_path / "child").write_bytes(child)
    assert "BackingFile" in codes(tmp_path / "child")
    for header_at in (65536, 131072):
        content[header_at + 48 : header_at + 64] = b"\x11" * 16
        content[header_at + 4 : header_at + 8] = bytes(4)
        content[header_at + 4 : header_at + 8] = struct.pack("<I", crc32c(content[header_at : header_at + 4096]))
    (tmp_path / "dirty").write_bytes(content)
    assert codes(tmp_path / "dirty") == {"NotClean"}


def test_children_and_split_disks_as_their_tools_make_them(made: Callable[[str], Path], tmp_path: Path) -> None:
    for kind, driver in (("vmdk", "vmdk"), ("qcow2", "qcow2")):
        child = tmp_path / f"child.{driver}"
        tool("qemu-img", "create", "-q", "-f", driver, "-b", made(kind), "-F", driver, child)
        assert "BackingFile" in codes(child)
    for subformat in ("twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "monolithicFlat"):
        path = tmp_path / f"{subformat}.vmdk"
        tool("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={subformat}", path, "8M")
        assert codes(path) == {"ExternalDataFile"}
    extent = tmp_path / "twoGbMaxExtentSparse-s001.vmdk"
    assert codes(extent) == {"ExternalDataFile"}


def test_bombs_are_not_inflated(made: Callable[[str], Path], tmp_path: Path) -> None:
    """A grain or cluster that inflates to more than its size, or less, is an error after as many bytes as it may have."""
    import zlib

    image = bytearray(made("vmdk-stream").read_bytes())
    bomb = zlib.compress(bytes(64 * MIB), 9)
    at = next(at for at in range(0, len(image), 512) if image[at + 12 : at + 14] == b"\x78\x9c")
    image[at + 8 : at + 12] = struct.pack("<I", len(bomb))
    image[at + 12 : at + 12 + len(bomb)] = bomb
    (tmp_path / "bomb").write_bytes(image)
    with (tmp_path / "bomb").open("rb") as file:
        disk = containers.open_disk(file.fileno(), containers.look(file.fileno(), None))
        assert disk.read(65536) == bytes(65536)
    image[at + 12 : at + 40] = b"\x78\x9c" + bytes(26)
    (tmp_path / "broken").write_bytes(image)
    with (tmp_path / "broken").open("rb") as file, pytest.raises((Unreadable, isal_zlib.error)):
        containers.open_disk(file.fileno(), containers.look(file.fileno(), None)).read(65536)


@pytest.mark.parametrize("kind", KINDS)
def test_oslo_utils_agrees(made: Callable[[str], Path], kind: str) -> None:
    image = made(kind)
    other = format_inspector.detect_file_format(str(image))
    assert other is not None
    found = look(image)
    if kind == "vhd-fixed":  # oslo.utils knows a VHD by the copy of its footer in front, which a fixed one has not
        assert (str(other), found.format) == ("raw", "vhd")
        return
    assert (str(other), other.virtual_size) == (found.format, found.virtual_size_bytes)
    other.safety_check()


def test_what_oslo_utils_refuses_we_refuse(made: Callable[[str], Path], tmp_path: Path) -> None:
    backing, data, flat = tmp_path / "backing", tmp_path / "data", tmp_path / "flat"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", made("qcow2"), "-F", "qcow2", backing)
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'outside'}", data, "8M")
    tool("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", flat, "8M")
    lies = [change(made(kind), tmp_path / name.replace(" ", "-"), at, data_) for name, (kind, at, data_, _) in LIES.items()]
    refused = 0
    for path in (backing, data, flat, *lies):
        try:
            other = format_inspector.detect_file_format(str(path))
            assert other is not None
            if str(other) in {"raw", "gpt"}:
                continue
            other.safety_check()
        except (format_inspector.ImageFormatError, format_inspector.SafetyCheckFailed):
            refused += 1
            assert look(path).troubles, path
    assert refused >= 4


@pytest.mark.parametrize("driver", ["vmdk", "vpc", "vhdx", "vdi"])
async def test_a_good_image_passes_in_every_container(good_raw: Path, tmp_path: Path, driver: str) -> None:
    image = tmp_path / "disk"
    tool("qemu-img", "convert", "-O", driver, *(("-o", "force_size=on") if driver == "vpc" else ()), good_raw, image)
    stated = "vhd" if driver == "vpc" else driver
    report = await report_of(image, stated)
    assert (verdict(report).outcome, report.image.format, report.attributes.os_version) == ("passed", stated, "Debian 12")
    other = await report_of(image, "raw")
    assert item(other, "DiskFormat").code == "DiskFormat.OtherThanStated"
