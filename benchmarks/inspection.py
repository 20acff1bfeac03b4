"""Facts against libguestfs, the whole check against merely reading all files, and both over the disk's size and what is in it."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import peer
from benchmarks.check import DATABASES, check, run
from benchmarks.disks import disk, qcow2
from benchmarks.figures import Figure
from benchmarks.place import Place
from services.checker.adapters.inspector_process import PROGRAM

MIB_OF_THE_GOALS: Final = 1526
"""1.6 GB, which is what the goals speak of."""
ROUNDS: Final = 5
FACTS_GOAL_S: Final = 0.6
FACTS_GOAL_MB: Final = 80
PEER_GOAL: Final = 10.0
READ_GOAL: Final = 1.5
CHECK_GOAL_MB: Final = 512
_ALONE: Final = Path(__file__).with_name("alone.py")
_GIB: Final = (1, 10, 100)
_MORE_MB: Final = (0, 450, 1350)
_FLAT: Final = 1.25
_LOOK_EVERY_S: Final = 0.003


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds until all was done, MB at the peak of the largest process, seconds of CPU of all."""

    seconds: float
    peak_mb: float
    cpu_s: float


def _run(*commands: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Run:
    """Run commands side by side."""
    began, peak_kib, cpu_s = time.monotonic(), 0, 0.0
    running = [subprocess.Popen(one, stdout=subprocess.DEVNULL, env=environment) for one in commands]
    while running:
        for one in list(running):
            peak_kib = max(peak_kib, _peak_kib(one.pid))
            ended, status, used = os.wait4(one.pid, os.WNOHANG)
            if not ended:
                continue
            running.remove(one)
            one.returncode = os.waitstatus_to_exitcode(status)
            if one.returncode:
                message = f"{one.args}: exit code {one.returncode}"
                raise RuntimeError(message)
            cpu_s += used.ru_utime + used.ru_stime
        time.sleep(_LOOK_EVERY_S)
    return Run(time.monotonic() - began, peak_kib * 1024 / 1e6, cpu_s)


def _peak_kib(process_id: int) -> int:
    """Return a process's peak so far. What wait4(2) tells begins with this program's own, in which the other was started."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _alone(*words: str | Path) -> list[str]:
    return [sys.executable, "-I", "-B", str(_ALONE), str(words[0]), str(PROGRAM), *map(str, words[1:])]


def _facts(image: Path) -> Run:
    return _run(_alone("facts", image))


def _read(image: Path, processes: int, reader: str = "read") -> float:
    return _run(*(_alone(reader, image, part, processes) for part in range(processes))).seconds


def _median(runs: Sequence[Run]) -> Run:
    """Return the medians of the seconds, and the most of the MB."""
    seconds, cpu_s = (statistics.median(each) for each in zip(*((one.seconds, one.cpu_s) for one in runs), strict=True))
    return Run(seconds, max(one.peak_mb for one in runs), cpu_s)


def _against_peer(image: Path, environment: Mapping[str, str] | None) -> list[Figure]:
    """Measure the facts before and after the peer has its turn."""
    kind, used = image.suffix[1:], image.stat().st_blocks * 512 / 1e6
    runs = [_facts(image) for _ in range(ROUNDS)]
    theirs = None if environment is None else _run(peer.command(image), environment=environment)
    runs += [_facts(image) for _ in range(ROUNDS)]
    ours = _median(runs)
    figures = [
        Figure(
            f"facts (GUESTOS items) of a 1.6 GB image, {used:,.0f} MB stored, {kind}",
            f"{ours.seconds:.2f} s ({ours.cpu_s:.2f} s of CPU), {ours.peak_mb:.0f} MB; a process of its own, confined",
            f"≤ {FACTS_GOAL_S} s, ≤ {FACTS_GOAL_MB} MB",
            ours.seconds <= FACTS_GOAL_S and ours.peak_mb <= FACTS_GOAL_MB,
        )
    ]
    if theirs is not None:
        ratio = theirs.seconds / ours.seconds
        figures.append(
            Figure(
                f"libguestfs' virt-inspector of the same file, {kind}",
                f"{ratio:.0f} × that ({theirs.seconds:.1f} s, {theirs.cpu_s:.1f} s of CPU; {peer.version()}, {peer.ACCELERATOR}, "
                "its appliance cached, no packages, no icon)",
                f"≥ {PEER_GOAL:.0f} ×",
                ratio >= PEER_GOAL,
            )
        )
    return figures


async def _against_reading(image: Path) -> list[Figure]:
    """Measure the check of a running checker, its digest apart, against reading all files with our reader and another."""
    one, two, theirs, whole = [], [], [], []
    for _ in range(ROUNDS):
        one.append(_read(image, 1))
        two.append(_read(image, 2))
        theirs.append(_read(image, 2, "dissect"))
        whole.append(await run("-m", "benchmarks.whole", image, DATABASES))
    seconds, memory = statistics.median(float(each[2]) for each in whole), max(each[1] for each in whole)
    reading, by_theirs, kind = statistics.median(two), statistics.median(theirs), image.suffix[1:]
    return [
        Figure(
            f"whole check of that image but for its digest, {kind}",
            f"{seconds:.2f} s, {memory:.0f} MB: {seconds / reading:.2f} × reading all files with our reader and two processes "
            f"({reading:.2f} s; with one {statistics.median(one):.2f} s)",
            f"≤ {READ_GOAL} ×, ≤ {CHECK_GOAL_MB} MB",
            seconds <= READ_GOAL * reading and memory <= CHECK_GOAL_MB,
        ),
        Figure(
            f"the same against dissect.extfs, by which the goal was set, {kind}",
            f"{seconds / by_theirs:.2f} × reading all files with it and two processes ({by_theirs:.2f} s)",
            f"≤ {READ_GOAL} ×",
            seconds <= READ_GOAL * by_theirs,
        ),
    ]


async def _over(images: Mapping[str, Path], what: str, goal: str, *, flat: bool) -> Figure:
    """Check images that differ in one thing; `flat`: time and memory are to stay, else the memory alone."""
    measured = {}
    for name, image in images.items():
        runs = [await check(image) for _ in range(3)]
        facts_s = _median([_facts(image) for _ in range(3)]).seconds
        measured[name] = statistics.median(run[0] for run in runs), max(run[1] for run in runs), facts_s
    rows = "; ".join(
        f"{name}: {whole:.2f} s, {mb:.0f} MB, facts {facts_s:.2f} s" for name, (whole, mb, facts_s) in measured.items()
    )
    (least, least_mb, _), (most, most_mb, _) = next(iter(measured.values())), list(measured.values())[-1]
    return Figure(what, rows, goal, most_mb <= _FLAT * least_mb and (not flat or most <= _FLAT * least))


async def measure(_place: Place) -> list[Figure]:
    """Measure it all; the disks are made first."""
    environment = peer.environment()
    raw = disk(MIB_OF_THE_GOALS)
    figures = []
    for image in (raw, qcow2(raw)):
        if environment is not None and not figures:
            _run(peer.command(image), environment=environment)  # makes its appliance
        figures += _against_peer(image, environment)
    for image in (raw, qcow2(raw)):
        figures += await _against_reading(image)
    sizes = {f"{gib} GiB": qcow2(disk(gib * 1024)) for gib in _GIB}
    figures.append(
        await _over(sizes, "whole check over virtual size, qcow2, the same files", f"≤ {_FLAT} × throughout", flat=True)
    )
    fills = {}
    for more in _MORE_MB:
        image = disk(4096, more)
        fills[f"{image.stat().st_blocks * 512 / 1e6:,.0f} MB"] = image
    figures.append(await _over(fills, "whole check over bytes stored, raw of 4 GiB", f"memory ≤ {_FLAT} ×", flat=False))
    return figures


if __name__ == "__main__":
    import asyncio

    from benchmarks.figures import table

    found = asyncio.run(measure(None))  # type: ignore[arg-type]
    print("\n".join(table(found)))
    print(json.dumps({"load": os.getloadavg()}))
