"""libguestfs' virt-inspector, where it can be had: it needs its packages, and a kernel to start its appliance with."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.disks import CACHE

FOLDER: Final = CACHE / "guestfs"
ACCELERATOR: Final = "TCG"
"""No KVM: what a machine's owner allows is not to decide the ratio, and clouds' machines mostly have none."""
_INSTALL: Final = Path(__file__).resolve().parents[1] / "scripts" / "bench-peer"


def environment() -> Mapping[str, str] | None:
    """Return with what to run it, installed if need be; None where that cannot be."""
    if shutil.which("virt-inspector") is None or not (FOLDER / "kernel").exists():
        done = subprocess.run([_INSTALL, FOLDER], check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"virt-inspector cannot be had here: {done.stderr.strip().rpartition(chr(10))[2]}")
            return None
    modules = next((FOLDER / "root" / "lib" / "modules").iterdir())
    (FOLDER / "cache").mkdir(exist_ok=True)
    return {
        **os.environ,
        "LIBGUESTFS_BACKEND": "direct",
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "LIBGUESTFS_CACHEDIR": str(FOLDER / "cache"),
        "SUPERMIN_KERNEL": str(FOLDER / "kernel"),
        "SUPERMIN_KERNEL_VERSION": modules.name,
        "SUPERMIN_MODULES": str(modules),
    }


def command(image: Path) -> list[str]:
    """Return the command that finds the least: no packages, no icon."""
    return ["virt-inspector", f"--format={image.suffix[1:]}", "-a", str(image), "--no-applications", "--no-icon"]


def version() -> str:
    """Return its version."""
    return subprocess.run(["virt-inspector", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
