"""Kernels and the drivers that they have before the root is mounted: every image format, every compression, and hostile ones."""

import gzip
import io
import lzma
import random
import time

import pytest
from backports import zstd

from findings import Unreadable
from items import guestos_kernel_version, guestos_nvme, guestos_virtio
from linux.compression import Budget, Source
from linux.initramfs import members
from linux.kernels import kernels
from tests.inspector.linux_roots import (
    BOOT,
    NEEDED,
    PACKERS,
    RELEASE,
    ROOT,
    arm64_image,
    bzimage,
    cpio,
    debian,
    grub_cfg,
    initramfs,
    link,
    lz4_legacy,
    machine,
    unified,
    zboot,
)

INITRD = f"/boot/initrd.img-{RELEASE}"
KERNEL = f"/boot/vmlinuz-{RELEASE}"
BUILTIN = f"/lib/modules/{RELEASE}/modules.builtin"
NO_BLOCK = ("virtio/virtio_pci", "nvme/host/nvme")
ARM = arm64_image("6.6.9-arm64")

IMAGES = {
    "bzImage": (bzimage("6.12.1-0-lts"), "6.12.1-0-lts"),
    "arm64 Image": (ARM, "6.6.9-arm64"),
    "Image.gz": (gzip.compress(ARM), "6.6.9-arm64"),
    "zboot gzip": (zboot(gzip.compress(ARM), b"gzip"), "6.6.9-arm64"),
    "zboot zstd": (zboot(zstd.compress(ARM), b"zstd"), "6.6.9-arm64"),
    "zboot xz": (zboot(lzma.compress(ARM), b"xzkern"), "6.6.9-arm64"),
    "zboot lz4": (zboot(lz4_legacy(ARM), b"lz4"), "6.6.9-arm64"),
    "vmlinux": (b"\x7fELF" + ARM[4:], "6.6.9-arm64"),
    "vmlinux.gz": (gzip.compress(b"\x7fELF" + ARM[4:]), "6.6.9-arm64"),
}


@pytest.mark.parametrize(("image", "release"), IMAGES.values(), ids=IMAGES.keys())
def test_the_release_comes_from_the_image(image: bytes, release: str) -> None:
    facts = machine({"/etc/fstab": "", "/boot/vmlinuz-lts": image})
    (kernel,) = kernels(facts)
    assert (kernel.release, kernel.path) == (release, "/boot/vmlinuz-lts")
    assert guestos_kernel_version.judge(facts).value == release


LAYOUTS = {
    "rescue is another one's copy": (
        {
            "/boot/vmlinuz-0-rescue-cafe": bzimage("5.14.0-1.el9.x86_64"),
            "/boot/vmlinuz-5.14.0-1.el9.x86_64": bzimage("5.14.0-1.el9.x86_64"),
        },
        [("5.14.0-1.el9.x86_64", "/boot/vmlinuz-5.14.0-1.el9.x86_64")],
    ),
    "beside the modules": (
        {
            "/usr/lib/modules/6.9.1-arch1-1/vmlinuz": bzimage("6.9.1-arch1-1"),
            "/lib/modules/6.9.1-arch1-1/vmlinuz": bzimage("6.9.1-arch1-1"),
        },
        [("6.9.1-arch1-1", "/lib/modules/6.9.1-arch1-1/vmlinuz")],
    ),
    "a twin for crash dumps": (
        {"/boot/vmlinux-5.14.21.gz": gzip.compress(b"\x7fELF"), "/boot/vmlinuz-5.14.21": bzimage("5.14.21-default")},
        [("5.14.21-default", "/boot/vmlinuz-5.14.21")],
    ),
    "modules alone": ({"/lib/modules/6.10.2/x": "", "/lib/modules/6.9.7/x": ""}, [("6.9.7", None), ("6.10.2", None)]),
    "by name": (
        {"/boot/vmlinuz-6.10.1": "?", "/boot/vmlinuz-6.9.12": "?"},
        [("6.9.12", "/boot/vmlinuz-6.9.12"), ("6.10.1", "/boot/vmlinuz-6.10.1")],
    ),
}


@pytest.mark.parametrize(("files", "found"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_where_kernels_lie(files: dict[str, bytes], found: list[tuple[str, str | None]]) -> None:
    assert [(one.release, one.path) for one in kernels(machine({"/etc/fstab": "", **files}))] == found


def test_kernels_of_a_boot_partition_and_of_unified_images() -> None:
    image = unified(linux=bzimage("6.11.0"), uname=b"6.11.0-uki\n", initrd=initramfs("6.11.0-uki"))
    inner = unified(linux=bzimage("6.12.0"))
    fstab = f"UUID={ROOT} / ext4 defaults 0 1\nUUID={BOOT} /boot ext4 defaults 0 2\n"
    esp = {"/EFI/Linux/One.efi": image, "/EFI/Linux/two.efi": inner, "/cafe/6.9.0/linux-4f2a": bzimage("6.9.0")}
    found = kernels(machine({"/etc/fstab": fstab}, boot={f"/vmlinuz-{RELEASE}": bzimage()}, esp=esp))
    assert [(one.release, one.path, one.unified) for one in found] == [
        (RELEASE, f"/boot/vmlinuz-{RELEASE}", False),
        ("6.9.0", "partition 1:/cafe/6.9.0/linux-4f2a", False),
        ("6.11.0-uki", "partition 1:/EFI/Linux/one.efi", True),
        ("6.12.0", "partition 1:/EFI/Linux/two.efi", True),
    ]


def test_links_in_a_circle_on_another_partition_hide_no_kernel() -> None:
    """/var has run -> /run: on a /var that fstab does not mount it leads to itself."""
    found = kernels(
        machine({"/etc/fstab": "", "/boot/vmlinuz-6.9.0": bzimage("6.9.0")}, boot={"/run": link("/run"), "/lib/x": ""})
    )
    assert [one.release for one in found] == ["6.9.0"]


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("early", [0, 1, 3])
def test_drivers_are_found_in_every_compression_behind_microcode(packer: str, early: int) -> None:
    for ending in (".ko", ".ko.xz", ".ko.zst", ".ko.gz"):
        whole = machine(debian(**{INITRD: initramfs(packer=packer, early=early, ending=ending)}))
        assert guestos_virtio.judge(whole).level == guestos_nvme.judge(whole).level == "ok"
    lacking = machine(debian(**{INITRD: initramfs(drivers=NO_BLOCK, packer=packer, early=early)}))
    found = guestos_virtio.judge(lacking)
    assert (found.level, found.code, found.evidence[0].path) == ("failed", "Virtio.NoDriver", INITRD)
    assert found.value == (f"{RELEASE}: virtio_blk absent, virtio_pci initramfs",)
    assert guestos_nvme.judge(lacking).level == "ok"


VIRTIO = [
    ({INITRD: initramfs(top="lib/modules")}, "ok", "ok", None),
    ({INITRD: initramfs("6.1.0-17-amd64")}, "failed", "warning", "Virtio.NoDriver"),
    ({INITRD: initramfs(drivers=NEEDED[:2])}, "ok", "warning", None),
    ({INITRD: None}, "failed", "warning", "Virtio.NoDriver"),
    (
        {
            INITRD: None,
            BUILTIN: "kernel/drivers/block/virtio_blk.ko\nkernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/nvme/host/nvme.ko",
        },
        "ok",
        "ok",
        None,
    ),
    (
        {INITRD: None, f"/boot/config-{RELEASE}": "CONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\n# CONFIG_BLK_DEV_NVME is not set\n"},
        "ok",
        "warning",
        None,
    ),
    (
        {INITRD: None, f"/boot/config-{RELEASE}": "CONFIG_VIRTIO_BLK=m\nCONFIG_VIRTIO_PCI=y\nCONFIG_BLK_DEV_NVME=y\n"},
        "failed",
        "ok",
        "Virtio.NoDriver",
    ),
    (
        {INITRD: cpio({f"usr/lib/modules/{RELEASE}/modules.builtin": b"k/virtio-blk.ko\nk/virtio_pci.ko\nk/nvme.ko\n"})},
        "ok",
        "ok",
        None,
    ),
    ({INITRD: b"no initramfs at all"}, "unsupported", "unsupported", "Virtio.NotJudged"),
    ({INITRD: initramfs()[:-40]}, "unsupported", "unsupported", "Virtio.NotJudged"),
    ({INITRD: b"\x89LZO\0\r\n\x1a\n" + bytes(100)}, "unsupported", "unsupported", "Virtio.NotJudged"),
    ({KERNEL: None}, "unsupported", "unsupported", "Virtio.NotJudged"),
    ({f"/lib/modules/{RELEASE}/modules.dep": "kernel/x/e1000.ko:\n"}, "warning", "ok", "Virtio.NoNetworkDriver"),
    ({f"/lib/modules/{RELEASE}/modules.dep": None}, "ok", "ok", None),
    ({"/boot/vmlinuz-5.10.0-1-amd64": bzimage("5.10.0-1-amd64")}, "failed", "warning", "Virtio.NoDriver"),
    ({INITRD: None, "/boot/other.img": initramfs(), "/boot/grub/grub.cfg": grub_cfg(initrd="/boot/other.img")}, "ok", "ok", None),
]


@pytest.mark.parametrize(("changes", "virtio", "nvme", "code"), VIRTIO)
def test_virtio_and_nvme(changes: dict[str, bytes | None], virtio: str, nvme: str, code: str | None) -> None:
    facts = machine(debian(**changes))
    found = guestos_virtio.judge(facts)
    assert (found.level, found.code, guestos_nvme.judge(facts).level) == (virtio, code, nvme)
    assert found.level == "ok" or found.advice


def test_no_kernel_is_unsupported() -> None:
    facts = machine({"/etc/fstab": ""})
    assert (guestos_virtio.judge(facts).level, guestos_nvme.judge(facts).level) == ("unsupported", "unsupported")


@pytest.mark.parametrize(("drivers", "level"), [(NEEDED, "ok"), (NO_BLOCK, "failed")])
def test_the_initramfs_inside_a_unified_image(drivers: tuple[str, ...], level: str) -> None:
    image = unified(linux=bzimage(), uname=RELEASE.encode(), initrd=initramfs(drivers=drivers))
    facts = machine({"/etc/fstab": ""}, esp={"/EFI/Linux/a.efi": image})
    assert guestos_virtio.judge(facts).level == level


@pytest.mark.parametrize(
    ("kernel", "image"),
    [
        ("vmlinuz-linux", "initramfs-linux.img"),
        ("vmlinuz-lts", "initramfs-lts"),
        ("vmlinuz-5.3.18-default", "initrd-5.3.18-default"),
    ],
)
def test_the_initramfs_is_found_by_the_names_of_distributions(kernel: str, image: str) -> None:
    facts = machine({"/etc/fstab": "", f"/boot/{kernel}": bzimage(), f"/boot/{image}": initramfs()})
    assert guestos_virtio.judge(facts).level == "ok"


def read(data: bytes, budget: Budget) -> list[str]:
    return [one.path for one in members(Source(io.BytesIO(data), budget), budget)]


HOSTILE = {
    "gzip bomb": gzip.compress(bytes(60 << 20)),
    "zstd bomb": zstd.compress(bytes(300 << 20)),
    "lz4 bomb": lz4_legacy(cpio([]) + bytes(200 << 20)),
    "bomb behind the trailer": zstd.compress(cpio(["a"]) + bytes(300 << 20)),
    "xz with a dictionary of 1 GiB": lzma.compress(
        b"x", format=lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 128 << 20}]
    ),
    "a name of 4 GiB": b"070701" + b"0" * 88 + b"FFFFFFFF" + b"0" * 8 + b"x" * 500,
    "a name of none": b"070701" + b"0" * 104 + b"x" * 500,
    "a file of 4 GiB": b"070701" + b"0" * 48 + b"FFFFFFFF" + b"0" * 32 + b"00000002" + b"0" * 8 + b"a\0" + b"x" * 500,
    "no numbers": b"070701" + b"z" * 104 + b"x" * 500,
    "archives without end": cpio(["a"]) * 40,
    "an lz4 block of 4 GiB": b"\x02\x21\x4c\x18" + b"\xff\xff\xff\x7f" + b"x" * 500,
    "an lz4 block of nonsense": b"\x02\x21\x4c\x18" + b"\x40\0\0\0" + b"\xff" * 64,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_initramfs_end_in_time_with_a_reason(data: bytes) -> None:
    began = time.process_time()
    facts = machine(debian(**{INITRD: data}))
    found = guestos_virtio.judge(facts)
    assert (found.level, found.code) in {("unsupported", "Virtio.NotJudged"), ("failed", "Virtio.NoDriver")}
    assert time.process_time() - began < 5
    with pytest.raises((Unreadable, lzma.LZMAError)):
        read(data, Budget(bytes_in=1 << 30, bytes_out=50 << 20))


def test_budgets_end_what_is_too_large_or_too_slow() -> None:
    data = zstd.compress(cpio(f"file{number}" for number in range(2_000)))
    assert len(read(data, Budget())) == 2_000
    for budget, code in ((Budget(bytes_in=100), "TooLarge"), (Budget(bytes_out=1000), "TooLarge"), (Budget(cpu_s=-1), "TooSlow")):
        with pytest.raises(Unreadable) as caught:
            read(data, budget)
        assert caught.value.code == code


def test_no_change_of_bytes_makes_it_raise_or_hang() -> None:
    chance = random.Random(5)
    for packer in PACKERS:
        data = initramfs(packer=packer)
        for _ in range(40):
            changed = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            found = guestos_virtio.judge(machine(debian(**{INITRD: bytes(changed[: chance.randrange(1, len(changed) + 1)])})))
            assert found.level in {"ok", "failed", "unsupported"}
