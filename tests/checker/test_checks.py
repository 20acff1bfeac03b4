"""Checks of real files by a worker with the real inspector: what is told, what is kept, what is never taken for complete."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import services.checker.adapters.sources.opening
from services.checker.adapters.inspector_process import JUDGED_HERE
from services.checker.handlers.check_file import CHANGED
from shared.contracts.content_version import content_version_of
from shared.contracts.report import Report
from shared.contracts.rules import RULES_VERSION, declared_items
from tests.checker.desk import Desk, job
from tests.checker.inspectors import Halt, inspector
from tests.inspector.disks import KERNEL, Root, ext4
from tests.messaging.cluster import eventually


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


async def kept_report(desk: Desk, report_id: str) -> bytes:
    found: bytes = await desk.database.pool.fetchval("SELECT document FROM reports WHERE report_id = $1", report_id)
    return found


async def test_a_good_image(desk: Desk, image: Path) -> None:
    told = (await desk.check(job(image=image, format="qcow2"))).data
    assert (told["complete"], told.get("error"), told["publication_id"]) == (True, None, "pub-1")
    assert {item["name"]: item["level"] for item in told["items"]} == dict.fromkeys(declared_items(RULES_VERSION, "linux"), "ok")
    assert told["attributes"] == {
        "platform": "Debian",
        "os_version": "Debian 12",
        "kernel_version": KERNEL,
        "architecture": "x86_64",
        "boot_mode": "UEFI-Preferred",
    }
    assert (told["image_digest"], told["rules_version"]) == (digest_of(image), RULES_VERSION)
    assert told["content_version"] == content_version_of(image.stat())
    document = await kept_report(desk, told["report_id"])
    assert hashlib.sha256(document).hexdigest() == told["report_sha256"]
    report = Report.model_validate_json(document)
    assert (report.report_id, report.image.digest, report.complete) == (told["report_id"], digest_of(image), True)
    assert (report.outcome, report.policy) == (None, None)


async def test_what_is_wrong_travels_with_its_evidence(desk: Desk, images: Path) -> None:
    image = ext4(images / "disk.raw", Root({"etc/fstab": b"LABEL=nowhere / ext4 defaults 0 1\n" * 5}))
    told = (await desk.check(job(image=image))).data
    items = {item["name"]: item for item in told["items"]}
    assert told["complete"]
    assert (items["GUESTOS.Fstab"]["level"], items["GUESTOS.Fstab"]["code"]) == ("failed", "Fstab.NoSuchDevice")
    assert [one["path"] for one in items["GUESTOS.Fstab"]["evidence"]] == ["/etc/fstab"] * 3
    report = Report.model_validate_json(await kept_report(desk, told["report_id"]))
    assert len(next(item for item in report.items if item.name == "GUESTOS.Fstab").evidence) == 5


async def test_a_format_that_the_image_is_not_of(desk: Desk, image: Path) -> None:
    told = (await desk.check(job(image=image, format="raw"))).data
    assert {item["name"]: item["level"] for item in told["items"]}["SECURITY.DiskFormat"] == "failed"


async def test_a_job_for_other_content_is_not_even_looked_at(make_desk: Callable[..., Desk], image: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    desk = make_desk(inspector_command=inspector(tmp_path, f"open({str(begun)!r}, 'w')"))
    told = await desk.check(job(image=image, content_version="v-other"))
    assert told.error == CHANGED
    assert "image_digest" not in told.data
    assert not begun.exists()
    assert await desk.count("reports") == 0


def append(image: Path) -> None:
    with image.open("ab") as file:
        file.write(b"more")


def overwrite_in_secret(image: Path) -> None:
    times = image.stat()
    with image.open("r+b") as file:
        file.write(b"other")
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace(image: Path) -> None:
    shutil.copy(image, image.with_name("other"))
    image.with_name("other").rename(image)


@pytest.mark.parametrize("change", [append, overwrite_in_secret, replace])
async def test_an_image_that_changes_meanwhile(
    make_desk: Callable[..., Desk], image: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    halt = Halt(tmp_path)
    desk = make_desk(inspector_command=inspector(tmp_path, halt.program))
    checking = asyncio.create_task(desk.check(job(image=image)))
    await halt.reached()
    change(image)
    halt.go_on()
    told = await checking
    assert told.error == CHANGED
    report = Report.model_validate_json(await kept_report(desk, told.data["report_id"]))
    assert (report.complete, report.error) == (False, CHANGED)


async def test_an_image_that_changes_between_two_looks(desk: Desk, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(status: os.stat_result) -> str:
        append(image)
        return content_version_of(status)

    monkeypatch.setattr(services.checker.adapters.sources.opening, "content_version_of", look)
    assert (await desk.check(job(image=image))).error == CHANGED


async def test_progress_is_told_as_it_comes(make_desk: Callable[..., Desk], image: Path, tmp_path: Path) -> None:
    halts = [Halt(tmp_path, "first"), Halt(tmp_path, "second")]
    program = "\n".join(
        f'say(progress={{"phase": "files", "done": {done}, "total": 3}})\n{halt.program}'
        for done, halt in enumerate(halts, start=1)
    )
    desk = make_desk(inspector_command=inspector(tmp_path, program), renew_every_s=0.02)
    checking = asyncio.create_task(desk.check(job(image=image)))
    sequences = []
    for done, halt in enumerate(halts, start=1):
        (told,) = await eventually(desk.told)
        assert (told.type, told.key, told.correlation_id) == ("check.progressed", "img-1", "request-1")
        assert told.data == {"check_id": "check-1", "image_id": "img-1", "phase": "files", "done": done, "total": 3}
        shown = await desk.database.pool.fetchrow("SELECT phase, done, total FROM check_jobs")
        assert tuple(shown) == ("files", done, 3)
        sequences.append(told.sequence)
        await desk.renewed(times=3)
        assert await desk.told() == []
        halt.go_on()
    last = await checking
    assert (last.type, last.data["complete"]) == ("check.completed", True)
    first, second = sequences
    assert 0 < first < second < last.sequence


async def test_a_report_that_no_digest_binds_to_the_image_is_none(
    make_desk: Callable[..., Desk], images: Path, tmp_path: Path
) -> None:
    image = images / "endless.raw"
    image.touch()
    os.truncate(image, 4 << 40)
    names = [name for name in declared_items(RULES_VERSION, "linux") if name not in JUDGED_HERE]
    program = f"for name in {names}: say(item={{'name': name, 'level': 'ok', 'value': 'x'}})"
    desk = make_desk(inspector_command=inspector(tmp_path, f"{program}\nsay(end={{}})\nsys.exit()"), check_timeout_s=3)
    told = await desk.check(job(image=image))
    assert told.error == f"{4 << 40} bytes were not read for their digest within 3 s"
    assert {"items", "image_digest", "report_id", "report_sha256"} & told.data.keys() == {"items"}
    assert told.data["items"] == []
    assert await desk.count("reports") == 0


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder", "outside"])
async def test_what_is_not_opened_ends_with_the_reason(desk: Desk, images: Path, image: Path, kind: str) -> None:
    path = images / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "outside":
        path = Path(shutil.copy(image, images.parent / "one.qcow2"))
    reasons = {
        "missing": "No such file or directory",
        "fifo": "no regular file",
        "folder": "no regular file",
        "outside": "not beneath the configured image roots",
    }
    told = await desk.check(job(image=path))
    assert told.error.endswith(f"/{path.name}: {reasons[kind]}")
    assert await desk.count("reports") == 0
    assert (await desk.check(job("check-2", image))).data["complete"]


async def test_the_reason_is_told_however_long_the_location(desk: Desk, images: Path) -> None:
    told = await desk.check(job(image=f"{images}/{'x' * 800}"))
    # As much as an answer about it holds.
    assert "File name too long" in told.error[:256]
