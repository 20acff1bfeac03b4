"""The packages that the inspector tells of: taken in, put together by kind, bounded; a lie is a lie."""

from pathlib import Path
from typing import Any

import pytest

from services.checker.adapters.inspector_process import InspectorLimits
from services.checker.handlers.check_file import check_file
from shared.contracts.report import PACKAGES_MAX
from tests.inspector.test_process import BEGIN, END, IMAGE, ITEMS, inspect, says

LIMITS = InspectorLimits(wall_clock_s=60)


def packages(*names: str, type_: str = "deb", **different: Any) -> dict[str, Any]:
    return {"packages": {"type": type_, "packages": [{"name": name, "version": "1"} for name in names], **different}}


async def test_parts_of_one_kind_go_together(good_root: Path, tmp_path: Path) -> None:
    lines = [packages("a", "b", distro="debian-12"), packages("x", type_="rpm"), packages("c", complete=False, error="cut off")]
    inspection = await inspect(says(BEGIN, IMAGE, *lines, *ITEMS, END), good_root, tmp_path)
    assert inspection.error is None
    deb, rpm = inspection.packages["deb"], inspection.packages["rpm"]
    assert [one.name for one in deb.packages] == ["a", "b", "c"]
    assert (deb.distro, deb.complete, deb.error) == ("debian-12", False, "cut off")
    assert ([one.name for one in rpm.packages], rpm.complete, rpm.error) == (["x"], True, None)


@pytest.mark.parametrize("name_bytes", [1, 200])
async def test_more_than_a_report_holds_are_left_out_and_that_is_said(good_root: Path, tmp_path: Path, name_bytes: int) -> None:
    program = f"""
for part in range(11):
    names = [{{"name": f"{{part}}-{{one}}".ljust({name_bytes}, "x"), "version": "1"}} for one in range(2000)]
    print(json.dumps({{"packages": {{"type": "deb", "packages": names}}}}), flush=True)
{says(IMAGE, *ITEMS, END)}
"""
    inspection = await inspect(program, good_root, tmp_path, LIMITS)
    assert inspection.error is None
    (deb,) = inspection.packages.values()
    assert not deb.complete
    # The short names meet the bound of packages, the long ones that of bytes.
    assert len(deb.packages) == PACKAGES_MAX if name_bytes == 1 else 14_000 < len(deb.packages) < PACKAGES_MAX


LIES = {
    "unknown kind": packages("a", type_="exe"),
    "no name": packages(""),
    "a name too long": packages("a" * 257),
    "no list": {"packages": {"type": "deb", "packages": "a"}},
}


@pytest.mark.parametrize("line", LIES.values(), ids=LIES.keys())
async def test_a_lie_is_told(good_root: Path, tmp_path: Path, line: dict[str, Any]) -> None:
    inspection = await inspect(says(BEGIN, IMAGE, line, *ITEMS, END), good_root, tmp_path)
    assert (inspection.error or "").startswith("the inspector's output makes no sense: ")


async def test_the_report_has_them(good_root: Path, tmp_path: Path) -> None:
    script = tmp_path / "inspector.py"
    with good_root.open("rb") as image:
        for lines, told in (((packages("a"),), ["a"]), ((), None)):
            script.write_text(f"import json\n{says(BEGIN, IMAGE, *lines, *ITEMS, END)}")
            report = await check_file(image.fileno(), command=("python3", str(script)))
            assert (None if report.packages is None else [one.name for one in report.packages[0].packages]) == told
