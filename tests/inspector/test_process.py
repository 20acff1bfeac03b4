"""The inspector as a process: one that lies, hangs or dies ends as an incomplete report with a reason, and leaves nothing."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from services.checker.adapters.inspector_process import JUDGED_HERE, PROGRAM, Inspection, InspectorLimits, inspect_image
from services.checker.adapters.malware_search import hand_over, search_by_rules
from services.checker.handlers.check_file import check_file
from shared.contracts.gate import weigh
from shared.contracts.report import Item
from shared.contracts.rules import RULES_VERSION, declared_items
from shared.policy import shipped_policy

LIMITS = InspectorLimits(wall_clock_s=10, output_bytes_max=200_000)
BEGIN = {"begin": {"version": "1", "confinement": []}}
IMAGE = {"image": {"format": "raw", "size_bytes": 1, "virtual_size_bytes": 1}}
NAMES = [name for name in declared_items(RULES_VERSION, "linux") if name not in JUDGED_HERE]
ITEMS = [{"item": {"name": name, "level": "ok", "value": "x"}} for name in NAMES]
END = {"end": {}}


async def inspect(program: str, good_root: Path, tmp_path: Path, limits: InspectorLimits = LIMITS) -> Inspection:
    """Run `program`, Python text, in the inspector's place."""
    script = tmp_path / "inspector.py"
    script.write_text(f"import json, os, signal, sys, time\n{program}")
    descriptor = os.open(good_root, os.O_RDONLY)
    try:
        return await inspect_image(descriptor, limits=limits, command=(sys.executable, str(script)))
    finally:
        os.close(descriptor)


def says(*lines: object) -> str:
    """A program that writes `lines`, each as JSON, and ends."""
    return f"[print(json.dumps(one), flush=True) for one in json.loads({json.dumps(json.dumps(lines))})]"


def passes(inspection: Inspection) -> bool:
    """Whether the gate would let an image through on this."""
    items = [*inspection.items, *(Item(name=name, level="ok") for name in JUDGED_HERE)]
    found = weigh(items, shipped_policy("gate").region().gate, complete=inspection.complete, error=inspection.error)
    return found.outcome == "passed"


async def test_one_that_says_everything_is_complete(good_root: Path, tmp_path: Path) -> None:
    inspection = await inspect(says(BEGIN, IMAGE, *ITEMS, END), good_root, tmp_path)
    assert (inspection.error, inspection.complete, passes(inspection)) == (None, True, True)


LIES = {
    "no JSON": "print('hello')",
    "no object": "print('[1]')",
    "two members": says({"item": {}, "end": {}}),
    "unknown kind": says(BEGIN, {"pass": {}}, END),
    "item without a name": says(BEGIN, {"item": {"level": "ok"}}),
    "unknown level": says(BEGIN, {"item": {"name": "GUESTOS.Fstab", "level": "fine"}}),
    "unknown item": says(BEGIN, {"item": {"name": "GUESTOS.Nonsense", "level": "ok"}}),
    "item twice": says(BEGIN, ITEMS[0], ITEMS[0]),
    "failed without a code": says(BEGIN, {"item": {"name": "GUESTOS.Fstab", "level": "failed"}}),
    "impossible size": says(BEGIN, {"image": {"format": "raw", "virtual_size_bytes": -1}}),
    "unknown format": says(BEGIN, {"image": {"format": "floppy", "virtual_size_bytes": 1}}),
    "not a number": 'print(\'{"image": {"virtual_size_bytes": NaN}}\')',
    "endless line": "sys.stdout.write('x' * 3_000_000)",
    "endless output": "\nwhile True: print(json.dumps({'progress': {'phase': 'p', 'done': 1, 'total': 2}}))",
    "deep nesting": "print('{\"item\": ' + '[' * 100_000)",
    "progress without numbers": says(BEGIN, {"progress": {"phase": "x"}}),
    "a body that is no object": says({"item": 5}),
}


@pytest.mark.parametrize("program", LIES.values(), ids=LIES.keys())
async def test_a_lie_is_told_as_what_makes_no_sense(good_root: Path, tmp_path: Path, program: str) -> None:
    inspection = await inspect(program, good_root, tmp_path)
    assert (inspection.error or "").startswith("the inspector's output makes no sense: ")
    assert not passes(inspection)


ENDS = {
    "silence": ("", "ended with exit code 0 before it had finished"),
    "a failure": ("sys.exit('no parser\\x1b[31m here')", "ended with exit code 1 before it had finished: no parser?[31m here"),
    "a signal": ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by signal 11 before it had finished"),
    "half of it": (says(BEGIN, IMAGE, *ITEMS), "ended with exit code 0 before it had finished"),
    "items left out": (says(BEGIN, IMAGE, *ITEMS[1:], END), "left out " + NAMES[0]),
}


@pytest.mark.parametrize(("program", "why"), ENDS.values(), ids=ENDS.keys())
async def test_one_that_ends_early_says_how(good_root: Path, tmp_path: Path, program: str, why: str) -> None:
    inspection = await inspect(program, good_root, tmp_path)
    assert inspection.error == f"the inspector {why}"
    assert not passes(inspection)


async def test_one_that_hangs_is_stopped_with_all_its_children(good_root: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    program = f"""
if os.fork() == 0:
    open({str(tmp_path / "child")!r}, "w").write(str(os.getpid()))
    time.sleep(600)
sys.stderr.write("x" * 1_000_000)
time.sleep(600)
"""
    inspection = await inspect(program, good_root, tmp_path, InspectorLimits(wall_clock_s=1.5))
    assert inspection.error == "the inspector was stopped after 2 s"
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    async with asyncio.timeout(10):
        while _alive(child):
            await asyncio.sleep(0.02)


def _alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_has_the_image_and_no_other_file_and_little_else(good_root: Path, tmp_path: Path) -> None:
    program = f"""
open({str(tmp_path / "seen")!r}, "w").write(json.dumps({{"env": dict(os.environ), "cwd": os.getcwd(),
    "fds": sorted(os.readlink("/proc/self/fd/" + one) for one in os.listdir("/proc/self/fd") if int(one) > 2 and
                  os.path.exists("/proc/self/fd/" + one))}}))
"""
    await inspect(program, good_root, tmp_path)
    seen = json.loads((tmp_path / "seen").read_text())
    opened = [one for one in seen["fds"] if not one.startswith((str(tmp_path), "/proc/"))]
    assert opened == [str(good_root)]
    assert (seen["cwd"], {*seen["env"]} - {"LC_CTYPE"}) == ("/", {"PATH", "LC_ALL"})


async def test_the_real_one_says_what_holds_it(good_root: Path) -> None:
    descriptor = os.open(good_root, os.O_RDONLY)
    try:
        async with hand_over(search_by_rules()) as handed:
            inspection = await inspect_image(descriptor, malware=handed)
        assert inspection.error is None
        assert any("network" in one for one in inspection.confinement), inspection.confinement
        assert any("memory" in one for one in inspection.confinement), inspection.confinement
    finally:
        os.close(descriptor)


async def test_memory_beyond_the_limit_is_not_had(good_root: Path, tmp_path: Path) -> None:
    program = f"""
sys.path.insert(0, {str(PROGRAM)!r})
from confinement import confine
confine(memory_bytes=int(sys.argv[sys.argv.index("--memory-bytes") + 1]), cpu_s=5)
bytearray(300 << 20)
"""
    inspection = await inspect(program, good_root, tmp_path, InspectorLimits(memory_bytes=256 << 20))
    assert (inspection.error or "").endswith("MemoryError")
    enough = await inspect(program, good_root, tmp_path, InspectorLimits(memory_bytes=1 << 30))
    assert enough.error == "the inspector ended with exit code 0 before it had finished"


async def test_cpu_beyond_the_limit_is_not_had(good_root: Path, tmp_path: Path) -> None:
    program = f"""
sys.path.insert(0, {str(PROGRAM)!r})
from confinement import confine
confine(memory_bytes=1 << 30, cpu_s=1)
while True: pass
"""
    inspection = await inspect(program, good_root, tmp_path)
    assert inspection.error == f"the inspector was killed by signal {signal.SIGXCPU:d} before it had finished"


async def test_a_digest_that_takes_too_long_ends_with_the_check(tmp_path: Path) -> None:
    script = tmp_path / "inspector.py"
    script.write_text(f"import json\n{says(BEGIN, IMAGE, *ITEMS, END)}")
    path = tmp_path / "sparse.raw"
    path.touch()
    os.truncate(path, 4 << 40)
    descriptor = os.open(path, os.O_RDONLY)
    told: list[str] = []
    began = time.monotonic()
    try:
        report = await check_file(
            descriptor,
            limits=InspectorLimits(wall_clock_s=3),
            on_progress=lambda phase, _done, _total: told.append(phase),
            command=(sys.executable, str(script)),
        )
    finally:
        os.close(descriptor)
    assert time.monotonic() - began < 20
    assert (report.complete, report.error) == (False, f"{4 << 40} bytes were not read for their digest within 3 s")
    assert (report.image.digest, report.image.size_bytes) == (None, 4 << 40)
    assert "digest" in told
