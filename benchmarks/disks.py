"""Disks for measuring, made of the demo's Debian: of other sizes, and with more in them. Kept in .cache/bench."""

import os
import random
import tempfile
from pathlib import Path
from typing import Final

from demo.image import build
from demo.partitions import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_ROOT_X86_64_TYPE, MIB, ROOT_START_MIB, TAIL_MIB, run

CACHE: Final = Path(__file__).resolve().parents[1] / ".cache"
_VERSION: Final = 1  # raise it when the code below makes other disks
_STEP_BYTES: Final = 4 * MIB
_MORE_FILE_BYTES: Final = MIB


def disk(mib: int, more_mb: int = 0) -> Path:
    """Return a raw disk of so many MiB with the demo's system and so many MB of further files, made if it is not there."""
    source = build(CACHE / "demo", lambda _: None).raw
    target = CACHE / "bench" / f"{source.resolve().parent.name}-{mib}-{more_mb}-{_VERSION}.raw"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            _make(source, Path(work), mib, more_mb).rename(target)
    return target


def qcow2(raw: Path) -> Path:
    """Return the disk as qcow2."""
    target = raw.with_suffix(".qcow2")
    if not target.exists():
        part = target.with_suffix(".part")
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(part)])
        part.rename(target)
    return target


def _make(source: Path, work: Path, mib: int, more_mb: int) -> Path:
    root, made, root_mib = work / "root", work / "disk", mib - ROOT_START_MIB - TAIL_MIB
    old_mib = source.stat().st_size // MIB - ROOT_START_MIB - TAIL_MIB
    _copy(source, ROOT_START_MIB * MIB, root, 0, old_mib * MIB)
    os.truncate(root, root_mib * MIB)
    run(["resize2fs", "-f", str(root)])
    if more_mb:
        _fill(root, work, more_mb)
    made.touch()
    os.truncate(made, mib * MIB)
    sectors = MIB // 512
    rows = ["label: gpt", f"start={sectors}, size={sectors}, type={BIOS_BOOT_TYPE}"]
    rows.append(f"start={2 * sectors}, size={(ROOT_START_MIB - 2) * sectors}, type={ESP_TYPE}")
    rows.append(f"start={ROOT_START_MIB * sectors}, size={root_mib * sectors}, type={LINUX_ROOT_X86_64_TYPE}")
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(made)], stdin="\n".join([*rows, ""]))
    _copy(source, 0, made, 0, 440)
    _copy(source, MIB, made, MIB, (ROOT_START_MIB - 1) * MIB)
    _copy(root, 0, made, ROOT_START_MIB * MIB, root_mib * MIB)
    return made


def _fill(root: Path, work: Path, more_mb: int) -> None:
    """Add files of bytes that no two share."""
    noise, lines = random.Random(5), ["mkdir /srv/more"]
    for number in range(more_mb * 1_000_000 // _MORE_FILE_BYTES):
        path = work / f"more-{number}"
        path.write_bytes(noise.randbytes(_MORE_FILE_BYTES))
        lines.append(f"write {path} /srv/more/{number}")
    run(["debugfs", "-w", "-f", "-", str(root)], stdin="\n".join([*lines, ""]))


def _copy(source: Path, at: int, target: Path, to: int, length: int) -> None:
    """Copy a range between files; holes stay holes."""
    end = at + length
    with source.open("rb") as file, target.open("r+b" if target.exists() else "w+b") as into:
        into.truncate(max(os.fstat(into.fileno()).st_size, to + length))
        place = at
        while place < end:
            try:
                place = os.lseek(file.fileno(), place, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                return
            piece = os.pread(file.fileno(), min(_STEP_BYTES, max(0, end - place)), place)
            if not piece:
                return
            if any(piece):
                os.pwrite(into.fileno(), piece, to + place - at)
            place += len(piece)
