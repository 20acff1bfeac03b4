"""The check of the demo's image: seconds and memory, as one who types `image-commons check` has them."""

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.place import Place
from demo.image import build

ROUNDS: Final = 5
GOAL_S: Final = 2.0
_PROJECT: Final = Path(__file__).resolve().parents[1]
DATABASES: Final = _PROJECT / ".cache" / "demo" / "databases"
"""Made with the demo's image."""


async def check(image: Path) -> tuple[float, float, dict[str, float]]:
    """Return seconds, peak MB of all its processes and the report's own timings of one `image-commons check`."""
    seconds, peak_mb, document = await run("-m", "cli", "check", image, "--json", "--databases", DATABASES)
    return seconds, peak_mb, json.loads(document)["timings_s"]


async def run(*arguments: str | Path) -> tuple[float, float, bytes]:
    """Return seconds, peak MB of all its processes and what it printed of one run of this Python."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), cwd=_PROJECT, stdout=asyncio.subprocess.PIPE
    )
    peak_bytes = 0
    watching = asyncio.create_task(_peak(process.pid))
    document, _ = await process.communicate()
    taken = time.monotonic() - began
    watching.cancel()
    (peak,) = await asyncio.gather(watching, return_exceptions=True)
    peak_bytes = peak if isinstance(peak, int) else 0
    if process.returncode:
        message = f"{arguments}: exit code {process.returncode}"
        raise RuntimeError(message)
    return taken, peak_bytes / 1e6, document


async def _peak(process_id: int) -> int:
    """Sample the resident memory of a process and its children, until cancelled; returns the most seen, in bytes."""
    most = 0
    page = os.sysconf("SC_PAGE_SIZE")
    try:
        while True:
            most = max(most, sum(_resident(one, page) for one in [process_id, *_children(process_id)]))
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        return most


def _children(process_id: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]
    except OSError:
        return []


def _resident(process_id: int, page: int) -> int:
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * page
    except OSError:
        return 0


async def measure(_place: Place) -> list[Figure]:
    """Check the demo's image in both formats."""
    images = build(_PROJECT / ".cache" / "demo", lambda _: None)
    figures = []
    for image in (images.qcow2, images.raw):
        runs = [await check(image) for _ in range(ROUNDS)]
        whole, memory = statistics.median(run[0] for run in runs), max(run[1] for run in runs)
        inspection, digest = (statistics.median(run[2][name] for run in runs) for name in ("inspection", "digest"))
        used = image.stat().st_blocks * 512 / 1e6
        figures.append(
            Figure(
                f"`image-commons check` of the demo's image, {image.suffix[1:]}",
                f"{whole:.2f} s, {memory:.0f} MB (inspection {inspection:.2f} s, digest of {image.stat().st_size / 1e6:,.0f} MB, "
                f"{used:,.0f} MB of it stored, {digest:.2f} s beside it)",
                f"< {GOAL_S:.0f} s",
                whole < GOAL_S,
            )
        )
    return figures
