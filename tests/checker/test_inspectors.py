"""An inspector that lies, hangs, is killed or cannot be started: an incomplete check with the reason, and the next is done."""

import asyncio
import gc
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import services.checker.handlers.check_file
from services.checker.adapters.digest import Cancelled, Hashed
from services.checker.adapters.inspector_process import JUDGED_HERE, Inspection, InspectorLimits, inspect_image
from services.checker.handlers.check_file import check_file
from shared.contracts.checks import CheckCancelled
from shared.contracts.report import Report
from shared.contracts.rules import RULES_VERSION, declared_items
from tests.checker.desk import Desk, job
from tests.checker.inspectors import Halt, alive, inspector

ITEMS = [name for name in declared_items(RULES_VERSION, "linux") if name not in JUDGED_HERE]
NO_SENSE = "the inspector's output makes no sense: "
CASES = {
    "lies": ("print('all is well')\nsys.exit()", NO_SENSE),
    "leaves out": (
        f"for name in {ITEMS[1:]}: say(item={{'name': name, 'level': 'ok', 'value': 'x'}})\nsay(end={{}})\nsys.exit()",
        f"the inspector left out {ITEMS[0]}",
    ),
    "fails": ("sys.exit('no parser')", "the inspector ended with exit code 1 before it had finished: no parser"),
}
NOT_TAKEN = {
    "a format that is a list": "say(image={'format': [], 'virtual_size_bytes': 1})",
    "a size that is true": "say(image={'format': 'raw', 'virtual_size_bytes': True})\nsay(end={})",
    "a confinement that is a number": "say(begin={'confinement': 5})",
    "a confinement of nothing": "say(begin={'confinement': ['']})\nsay(end={})",
    "a confinement with U+0000": "say(begin={'confinement': ['a\\0b']})\nsay(end={})",
}


@pytest.mark.parametrize(("program", "reason"), CASES.values(), ids=CASES.keys())
async def test_one_that_misbehaves(
    make_desk: Callable[..., Desk], image: Path, tmp_path: Path, program: str, reason: str
) -> None:
    bad = Path(shutil.copy(image, image.with_name("bad.qcow2")))
    desk = make_desk(inspector_command=inspector(tmp_path, program, only="bad"))
    told = await desk.check(job("check-1", bad))
    assert told.error.startswith(reason)
    document = await desk.database.pool.fetchval("SELECT document FROM reports WHERE report_id = $1", told.data["report_id"])
    report = Report.model_validate_json(document)
    assert (report.complete, report.error) == (False, told.error)
    assert (await desk.check(job("check-2", image))).data["complete"]


@pytest.mark.parametrize("program", NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
async def test_one_that_says_what_cannot_be(make_desk: Callable[..., Desk], image: Path, tmp_path: Path, program: str) -> None:
    desk = make_desk(inspector_command=inspector(tmp_path, f"{program}\nsys.exit()"))
    assert (await desk.check(job(image=image))).error


async def test_one_that_hangs(make_desk: Callable[..., Desk], image: Path, tmp_path: Path) -> None:
    halt = Halt(tmp_path)
    desk = make_desk(inspector_command=inspector(tmp_path, halt.program), check_timeout_s=2)
    for check_id in ("check-1", "check-2"):
        assert (await desk.check(job(check_id, image))).error == "the inspector was stopped after 2 s"
    assert not alive(await halt.reached())


async def test_one_that_is_killed(make_desk: Callable[..., Desk], image: Path, tmp_path: Path) -> None:
    halt = Halt(tmp_path)
    desk = make_desk(inspector_command=inspector(tmp_path, halt.program))
    checking = asyncio.create_task(desk.check(job(image=image)))
    os.kill(await halt.reached(), signal.SIGKILL)
    assert (await checking).error == "the inspector was killed by signal 9 before it had finished"
    halt.go_on()
    assert (await desk.check(job("check-2", image))).data["complete"]


async def test_one_that_is_not_there(make_desk: Callable[..., Desk], images: Path, tmp_path: Path) -> None:
    desk = make_desk(inspector_command=(str(tmp_path / "missing"),))
    image = images / "empty"
    image.touch()
    told = await desk.check(job(image=image))
    assert "No such file or directory" in told.error
    assert "image_digest" not in told.data


async def test_the_inspector_of_a_cancelled_check_is_stopped(make_desk: Callable[..., Desk], image: Path, tmp_path: Path) -> None:
    halt = Halt(tmp_path)
    desk = make_desk(inspector_command=inspector(tmp_path, halt.program), renew_every_s=0.02)
    await desk.ask(job(image=image))
    turning = asyncio.create_task(desk.turn())
    process_id = await halt.reached()
    await desk.ask(CheckCancelled(check_id="check-1", image_id="img-1"))
    async with asyncio.timeout(20):
        assert await turning
    assert not alive(process_id)
    assert await desk.told() == []


async def test_a_child_that_got_away_holds_nobody_up(image: Path, tmp_path: Path) -> None:
    """Which needs the rights to start one: the inspector gives them up, except as root."""
    escaped = tmp_path / "escaped"
    program = f"""
if os.fork() == 0:
    os.setsid()
    with open({str(escaped)!r}, "w") as file:
        file.write(str(os.getpid()))
time.sleep(600)
"""
    descriptor = os.open(image, os.O_RDONLY)
    limits, command = InspectorLimits(wall_clock_s=3), inspector(tmp_path, program)
    checking = asyncio.create_task(check_file(descriptor, limits=limits, command=command))
    await asyncio.wait([checking], timeout=10)
    done = checking.done()
    os.kill(int(escaped.read_text()), signal.SIGKILL)
    report = await checking
    os.close(descriptor)
    assert report.error == "the inspector was stopped after 3 s"
    assert done


async def test_the_digest_has_ended_when_a_check_is_cancelled(
    image: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inspected, ended = asyncio.Event(), threading.Event()

    def slow_digest(_descriptor: int, cancelled: threading.Event, _hashed: Hashed) -> str:
        cancelled.wait()
        # What the disk takes for the piece that is being read.
        threading.Event().wait(0.5)
        ended.set()
        raise Cancelled

    async def inspect(*given: Any, **more: Any) -> Inspection:
        found = await inspect_image(*given, **more)
        inspected.set()
        return found

    monkeypatch.setattr(services.checker.handlers.check_file, "digest_of", slow_digest)
    monkeypatch.setattr(services.checker.handlers.check_file, "inspect_image", inspect)
    with image.open("rb") as file:
        checking = asyncio.create_task(check_file(file.fileno(), command=("/bin/true",)))
        await inspected.wait()
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert ended.is_set()
    del checking
    # The loop's last turn still holds the task that worked out the digest.
    await asyncio.sleep(0)
    gc.collect()
    assert "never retrieved" not in caplog.text
