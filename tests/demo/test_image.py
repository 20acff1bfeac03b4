"""The demo's image is what its build says it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from demo.image import NO_SUCH_UUID, BuildError, DemoImages, build, with_backing_file
from demo.partitions import BIOS_BOOT_TYPE, ESP_TYPE, LINUX_ROOT_X86_64_TYPE, MIB, ROOT_START_MIB, Loader, assemble, run

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "demo"


@pytest.fixture(scope="module")
def images() -> DemoImages:
    return build(CACHE)


def _cat(disk: Path, path: str) -> str:
    return run(["debugfs", "-R", f"cat {path}", f"{disk}?offset={ROOT_START_MIB * MIB}"])


def test_disk_boots_by_bios_and_by_uefi(images: DemoImages) -> None:
    table = json.loads(run(["sfdisk", "--json", str(images.raw)]))["partitiontable"]
    assert table["label"] == "gpt"
    assert [part["type"] for part in table["partitions"]] == [BIOS_BOOT_TYPE, ESP_TYPE, LINUX_ROOT_X86_64_TYPE]
    with images.raw.open("rb") as file:
        boot_sector = file.read(512)
    assert boot_sector[510:] == b"\x55\xaa"
    assert int.from_bytes(boot_sector[0x5C:0x64], "little") == MIB // 512  # where boot.img finds GRUB's core
    assert "BOOTX64" in run(["mdir", "-b", "-/", "-i", f"{images.raw}@@2M", "::/EFI/BOOT"])


def test_facts_are_those_of_the_file_system(images: DemoImages) -> None:
    assert set(images.facts) == {"platform", "os_version", "kernel_version", "architecture", "boot_mode"}
    assert 'VERSION_ID="12"' in _cat(images.raw, "/usr/lib/os-release")
    assert images.facts["os_version"] == "Debian 12"
    assert f"/boot/vmlinuz-{images.facts['kernel_version']} " in _cat(images.raw, "/boot/grub/grub.cfg")


def test_fstab_names_the_file_systems_there_are(images: DemoImages) -> None:
    fstab = _cat(images.raw, "/etc/fstab")
    for partition, mount_point in ((3, "/"), (2, "/boot/efi")):
        table = json.loads(run(["sfdisk", "--json", str(images.raw)]))["partitiontable"]
        offset = table["partitions"][partition - 1]["start"] * 512
        uuid = run(["blkid", "-p", "-O", str(offset), "-s", "UUID", "-o", "value", str(images.raw)]).strip()
        assert f"UUID={uuid} {mount_point} " in fstab


def test_image_holds_no_package_source(images: DemoImages) -> None:
    done = subprocess.run(
        ["debugfs", "-R", "stat /etc/apt/sources.list", f"{images.raw}?offset={ROOT_START_MIB * MIB}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "File not found" in done.stderr


def test_qcow2_and_raw_hold_the_same(images: DemoImages) -> None:
    assert "identical" in run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", str(images.raw), str(images.qcow2)])


def test_variants_are_broken_as_they_say(images: DemoImages, tmp_path: Path) -> None:
    told = json.loads(run(["qemu-img", "info", "--output=json", str(images.with_backing_file)]))
    assert told["backing-filename"] == str(images.qcow2)
    raw = tmp_path / "broken.raw"
    run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(images.broken_fstab), str(raw)])
    broken, sound = _cat(raw, "/etc/fstab").splitlines(), _cat(images.raw, "/etc/fstab").splitlines()
    changed = [line for line in broken if line not in sound]
    assert changed == [f"UUID={NO_SUCH_UUID} / ext4 errors=remount-ro 0 1"]
    assert len(broken) == len(sound)


def test_second_build_is_taken_from_the_cache(images: DemoImages) -> None:
    said: list[str] = []
    assert build(CACHE, said.append) == images
    assert said == []


def test_missing_tools_are_named_with_the_command_that_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"mmdebstrap.*sudo apt-get install"):
        build(tmp_path / "cache")


def test_failed_tool_leaves_no_half_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    broken = tools / "mmdebstrap"
    broken.write_text("#!/bin/sh\necho no route to the mirror >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    with pytest.raises(BuildError, match=r"exit code 7(?s:.*)no route to the mirror"):
        build(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["build.lock"]


def test_loader_larger_than_its_partition_is_refused(tmp_path: Path) -> None:
    root, efi = tmp_path / "root", tmp_path / "efi"
    root.write_bytes(bytes(MIB))
    efi.write_bytes(b"MZ")
    with pytest.raises(ValueError, match="more than"):
        assemble(
            tmp_path / "disk", root, Loader(bytes(512), bytes(MIB + 1), efi), esp_volume_id="12345678",
            disk_id="9E9C28EF-4154-5353-B085-017CF35A2392",
        )  # fmt: skip


def test_backing_file_is_named_by_its_whole_path(tmp_path: Path) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(bytes(MIB))
    overlay = with_backing_file(base, "raw", tmp_path / "overlay.qcow2")
    assert json.loads(run(["qemu-img", "info", "--output=json", str(overlay)]))["backing-filename"] == str(base)
