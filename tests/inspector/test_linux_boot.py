"""Boot loaders' configurations: what they name is looked up, whichever loader and layout; troubles are found with their line."""

import random
import string
import time

import pytest

from items import guestos_grub
from linux.boot import boot_entries
from linux.boot.grub import commands
from tests.inspector.linux_roots import (
    BOOT,
    ESP,
    NOWHERE,
    RELEASE,
    ROOT,
    Files,
    bzimage,
    debian,
    grub_cfg,
    initramfs,
    machine,
    unified,
    with_changes,
)

CFG = "/boot/grub/grub.cfg"
KERNEL, INITRD = f"/boot/vmlinuz-{RELEASE}", f"/boot/initrd.img-{RELEASE}"
FSTAB = f"UUID={ROOT} / ext4 defaults 0 1\nUUID={BOOT} /boot ext4 defaults 0 2\nUUID={ESP} /boot/efi vfat defaults 0 2\n"
SEPARATE = {f"/vmlinuz-{RELEASE}": bzimage(), f"/initrd.img-{RELEASE}": initramfs()}
PATHS = {"kernel": f"/vmlinuz-{RELEASE}", "initrd": f"/initrd.img-{RELEASE}"}

GRUB = [
    ({}, "ok", None, []),
    ({CFG: grub_cfg(root="/dev/disk/by-uuid/" + ROOT)}, "ok", None, []),
    ({CFG: grub_cfg(root="PARTUUID=AAAA-03")}, "ok", None, []),
    ({CFG: grub_cfg(root="LABEL=system", options='"$kernelopts" ro')}, "ok", None, []),
    ({CFG: grub_cfg(kernel="/boot/../boot/vmlinuz-" + RELEASE)}, "ok", None, []),
    ({CFG: grub_cfg(kernel="($root)" + KERNEL, initrd="(hd0,gpt3)" + INITRD)}, "ok", None, []),
    ({CFG: grub_cfg(search=NOWHERE)}, "failed", "Grub.NoSuchDevice", [12, 14]),
    ({CFG: grub_cfg(root=f"UUID={NOWHERE}")}, "failed", "Grub.NoSuchDevice", [17]),
    ({CFG: grub_cfg(root="LABEL=nowhere")}, "failed", "Grub.NoSuchDevice", [17]),
    ({CFG: grub_cfg(root="/dev/vda9")}, "failed", "Grub.NoSuchDevice", [17]),
    ({CFG: grub_cfg(root="/dev/mapper/vg-root")}, "failed", "Grub.NoSuchDevice", [17]),
    ({CFG: grub_cfg(root="/dev/vg/root")}, "failed", "Grub.NoSuchDevice", [17]),
    ({CFG: grub_cfg(root="/dev/vda3")}, "warning", "Grub.KernelName", [17]),
    ({KERNEL: None}, "failed", "Grub.NoKernel", [17]),
    ({INITRD: None}, "failed", "Grub.NoInitramfs", [18]),
    ({CFG: grub_cfg(kernel="/vmlinuz-" + RELEASE)}, "failed", "Grub.NoKernel", [17]),
    ({CFG: grub_cfg() + "configfile $prefix/more.cfg\n"}, "failed", "Grub.NoSuchFile", [25]),
    ({CFG: grub_cfg(), "/boot/grub/custom.cfg": "linux /boot/gone root=UUID=" + ROOT}, "failed", "Grub.NoKernel", [1]),
    ({CFG: "set timeout=5\n"}, "failed", "Grub.NoEntry", []),
    ({CFG: f"menuentry x {{\n linux $where/vmlinuz root=UUID={ROOT}\n}}"}, "unsupported", "Grub.NotJudged", []),
    ({CFG: "menuentry x {\n linux (hd0,gpt9)/vmlinuz\n}"}, "unsupported", "Grub.NotJudged", []),
    ({CFG: None}, "unsupported", "Grub.NoConfiguration", []),
    ({CFG: None, "/boot/grub2/grub.cfg": grub_cfg()}, "ok", None, []),
    (
        {CFG: f'if [ -n "$X" ]; then\n search --fs-uuid "$X" --set prefix\nelse\n search --fs-uuid {ROOT} --set root\n'
         f" search --label boot --set root\nfi\nlinux {KERNEL} root=UUID={ROOT}\n"},
        "ok", None, [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "level", "code", "lines"), GRUB)
def test_grub_2(changes: dict[str, bytes | str | None], level: str, code: str | None, lines: list[int]) -> None:
    files = debian(**changes)
    found = guestos_grub.judge(machine(files))
    assert (found.level, found.code) == (level, code)
    if level != "ok":
        assert [one.line for one in found.evidence] == lines
        assert found.advice
        for one in found.evidence:
            assert one.path is not None
            assert one.line is not None
            text = files[one.path]
            assert isinstance(text, str)
            assert one.text == text.split("\n")[one.line - 1]
            assert one.sha256


def test_xen_starts_linux_as_a_module() -> None:
    modules = f" module2 {KERNEL} placeholder root=UUID={NOWHERE}\n module2 --nounzip {INITRD}\n"
    cfg = f"menuentry xen {{\n multiboot2 /boot/xen.gz placeholder\n{modules}}}\n"
    found = guestos_grub.judge(machine(debian(**{CFG: cfg, "/boot/xen.gz": b"xen"})))
    assert (found.code, [one.line for one in found.evidence]) == ("Grub.NoSuchDevice", [3])


@pytest.mark.parametrize(
    ("prefix", "code"), [("/@/boot", None), ("/boot", None), ("/wrong/boot", "Grub.NoKernel"), ("/x/@/boot", "Grub.NoKernel")]
)
def test_paths_on_btrfs_begin_at_the_top_level_or_at_the_root(prefix: str, code: str | None) -> None:
    cfg = grub_cfg(kernel=f"{prefix}/vmlinuz-{RELEASE}", initrd=f"{prefix}/initrd.img-{RELEASE}")
    assert guestos_grub.judge(machine(debian(**{CFG: cfg}), kind="btrfs")).code == code


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize(
    ("gone", "code"), [(None, None), (f"/vmlinuz-{RELEASE}", "Grub.NoKernel"), (f"/initrd.img-{RELEASE}", "Grub.NoInitramfs")]
)
def test_a_boot_partition_of_its_own(gone: str | None, code: str | None, *, mounted: bool) -> None:
    boot = with_changes({**SEPARATE, "/grub2/grub.cfg": grub_cfg(search=BOOT, **PATHS)}, **({gone: None} if gone else {}))
    root = {"/etc/fstab": FSTAB if mounted else ""}
    stub = f"search --no-floppy --root-dev-only --fs-uuid --set=dev {BOOT}\nset prefix=($dev)/grub2\n"
    stub += "export $prefix\nconfigfile $prefix/grub.cfg\n"
    found = guestos_grub.judge(machine(root, boot=boot, esp={"/EFI/fedora/grub.cfg": stub}))
    assert (found.level, found.code) == ("failed" if gone else "ok", code)
    assert found.evidence[0].path == ("/boot/grub2/grub.cfg" if mounted else "partition 2:/grub2/grub.cfg")


def test_the_stub_on_the_efi_partition_names_the_file_system() -> None:
    stub = f"search.fs_uuid {NOWHERE} root hd0,gpt3 \nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"
    found = guestos_grub.judge(machine(debian(**{"/etc/fstab": FSTAB}), esp={"/EFI/debian/grub.cfg": stub}))
    assert (found.code, found.evidence[0].path, found.evidence[0].line) == (
        "Grub.NoSuchDevice",
        "/boot/efi/EFI/debian/grub.cfg".lower().replace("/efi/debian", "/EFI/debian"),
        1,
    )


BLS = "title Red Hat\nversion 1\nlinux /vmlinuz-{0}\ninitrd /initramfs-{0}.img $tuned_initrd\noptions {1}\n"
RHEL = "5.14.0-427.el9.x86_64"


@pytest.mark.parametrize(
    ("options", "grubenv", "gone", "level", "code", "line"),
    [
        (f"root=UUID={ROOT} ro $tuned_params", "", None, "ok", None, 3),
        ("$kernelopts", f"# GRUB Environment Block\nkernelopts=root=UUID={ROOT} ro\n###", None, "ok", None, 3),
        (
            "$kernelopts",
            f"# GRUB Environment Block\nkernelopts=root=UUID={NOWHERE} ro\n###",
            None,
            "failed",
            "Grub.NoSuchDevice",
            5,
        ),
        (f"root=UUID={NOWHERE} ro", "", None, "failed", "Grub.NoSuchDevice", 5),
        (f"root=UUID={ROOT}", "", f"/vmlinuz-{RHEL}", "failed", "Grub.NoKernel", 3),
        (f"root=UUID={ROOT}", "", f"/initramfs-{RHEL}.img", "failed", "Grub.NoInitramfs", 4),
    ],
)
def test_entries_in_files_of_their_own_that_grub_reads(
    options: str, grubenv: str, gone: str | None, level: str, code: str | None, line: int
) -> None:
    boot = {
        "/grub2/grub.cfg": f"set boot='hd0,gpt2'\nsearch --no-floppy --fs-uuid --set=boot {BOOT}\ninsmod blscfg\nblscfg\n",
        "/grub2/grubenv": grubenv,
        f"/loader/entries/cafe-{RHEL}.conf": BLS.format(RHEL, options),
        f"/vmlinuz-{RHEL}": bzimage(RHEL),
        f"/initramfs-{RHEL}.img": initramfs(RHEL),
    }
    found = guestos_grub.judge(machine({"/etc/fstab": FSTAB}, boot=with_changes(boot, **({gone: None} if gone else {}))))
    assert (found.level, found.code, found.evidence[0].line) == (level, code, line)
    assert found.evidence[0].path == f"/boot/loader/entries/cafe-{RHEL}.conf"


def test_entries_that_grub_is_not_told_to_read_do_not_count() -> None:
    stale = {"/boot/loader/entries/old.conf": BLS.format("gone", "root=UUID=" + NOWHERE)}
    assert guestos_grub.judge(machine(debian(**stale))).level == "ok"


ARCH = f"title\tArch\nlinux\t/cafe/6.9.0/linux\ninitrd  /cafe/6.9.0/initrd\noptions root=UUID={ROOT} rw\n"


@pytest.mark.parametrize(
    ("changes", "level", "code"),
    [
        ({}, "ok", None),
        ({"/cafe/6.9.0/linux": None}, "failed", "Grub.NoKernel"),
        ({"/cafe/6.9.0/initrd": None}, "failed", "Grub.NoInitramfs"),
        ({"/loader/entries/one.conf": f"linux /cafe/6.9.0/linux\noptions root=UUID={NOWHERE}"}, "failed", "Grub.NoSuchDevice"),
    ],
)
def test_systemd_boot(changes: dict[str, bytes | str | None], level: str, code: str | None) -> None:
    esp = {
        "/EFI/systemd/systemd-bootx64.efi": b"MZ",
        "/loader/loader.conf": "timeout 3\n",
        "/loader/entries/one.conf": ARCH,
        "/cafe/6.9.0/linux": bzimage("6.9.0"),
        "/cafe/6.9.0/initrd": initramfs("6.9.0"),
    }
    found = guestos_grub.judge(machine({"/etc/fstab": ""}, esp=with_changes(esp, **changes)))
    assert (found.level, found.code) == (level, code)


@pytest.mark.parametrize(("kind", "level"), [("vfat", "ok"), ("xfs", "unsupported")])
def test_systemd_boot_reads_only_what_uefi_reads(kind: str, level: str) -> None:
    """kernel-install without an EFI system partition to see puts entries into /boot of the root file system."""
    boot = {
        "/loader/entries/one.conf": ARCH.replace("/cafe", "/boot/cafe"),
        "/cafe/6.9.0/linux": bzimage("6.9.0"),
        "/cafe/6.9.0/initrd": initramfs("6.9.0"),
    }
    root = {"/etc/fstab": "", **{f"/boot{path}": data for path, data in boot.items()}}
    found = guestos_grub.judge(machine(root, kind=kind))
    assert found.level == level
    assert level == "ok" or "on xfs, which UEFI does not read" in found.advice


@pytest.mark.parametrize(("root", "level", "code"), [(ROOT, "ok", None), (NOWHERE, "failed", "Grub.NoSuchDevice")])
def test_unified_images_carry_their_command_line(root: str, level: str, code: str | None) -> None:
    image = unified(linux=bzimage(), cmdline=f"root=UUID={root} rw\n\0".encode(), uname=RELEASE.encode())
    found = guestos_grub.judge(machine({"/etc/fstab": ""}, esp={"/EFI/Linux/arch.efi": image}))
    assert (found.level, found.code) == (level, code)
    assert "arch.efi" in str(found.evidence[0].path)


MENU = """default=0
timeout=5
title CentOS (2.6.32)
	root (hd0,{2})
	kernel /boot/vmlinuz-2.6.32 ro root={0} rhgb quiet
	initrd /boot/{1}
"""


@pytest.mark.parametrize("name", ["menu.lst", "grub.conf"])
@pytest.mark.parametrize(
    ("root", "initrd", "partition", "level", "code", "line"),
    [
        (f"UUID={ROOT}", "initramfs-2.6.32.img", 2, "ok", None, 5),
        (f"UUID={NOWHERE}", "initramfs-2.6.32.img", 2, "failed", "Grub.NoSuchDevice", 5),
        (f"UUID={ROOT}", "gone", 2, "failed", "Grub.NoInitramfs", 6),
        (f"UUID={ROOT}", "initramfs-2.6.32.img", 0, "failed", "Grub.NoKernel", 5),
    ],
)
def test_grub_legacy(name: str, root: str, initrd: str, partition: int, level: str, code: str | None, line: int) -> None:
    files = {
        "/etc/fstab": "",
        f"/boot/grub/{name}": MENU.format(root, initrd, partition),
        "/boot/vmlinuz-2.6.32": bzimage("2.6.32"),
        "/boot/initramfs-2.6.32.img": initramfs("2.6.32"),
    }
    found = guestos_grub.judge(machine(files, esp={"/x": b""}))
    assert (found.level, found.code, found.evidence[0].line) == (level, code, line)


EXTLINUX = (
    "DEFAULT menu.c32\nLABEL lts\n  MENU LABEL Linux lts\n"
    "  LINUX vmlinuz-lts\n  INITRD initramfs-lts\n  APPEND root=UUID={} modules=ext4\n"
)
IN_FOLDER = EXTLINUX.replace("LINUX vm", "LINUX ../vm").replace("INITRD ", "INITRD ../")
BOTH = f"label a\nkernel /boot/vmlinuz-lts\nappend initrd=/boot/gone,/boot/initramfs-lts root=UUID={ROOT}"


@pytest.mark.parametrize(
    ("changes", "level", "code", "line"),
    [
        ({}, "ok", None, 4),
        ({"/boot/vmlinuz-lts": None}, "failed", "Grub.NoKernel", 4),
        ({"/boot/initramfs-lts": None}, "failed", "Grub.NoInitramfs", 5),
        ({"/boot/extlinux.conf": EXTLINUX.format(NOWHERE)}, "failed", "Grub.NoSuchDevice", 6),
        ({"/boot/extlinux.conf": BOTH}, "failed", "Grub.NoInitramfs", 3),
        (
            {"/boot/extlinux.conf": "INCLUDE more.conf\n", "/boot/more.conf": EXTLINUX.format(NOWHERE)},
            "failed",
            "Grub.NoSuchDevice",
            6,
        ),
        ({"/boot/extlinux.conf": None, "/boot/extlinux/extlinux.conf": IN_FOLDER.format(ROOT)}, "ok", None, 4),
    ],
)
def test_extlinux(changes: dict[str, bytes | str | None], level: str, code: str | None, line: int) -> None:
    files: Files = {
        "/etc/fstab": "",
        "/boot/extlinux.conf": EXTLINUX.format(ROOT),
        "/boot/vmlinuz-lts": bzimage(),
        "/boot/initramfs-lts": initramfs(),
    }
    found = guestos_grub.judge(machine(with_changes(files, **changes)))
    assert (found.level, found.code, found.evidence[0].line) == (level, code, line)


WORDS = [
    ("linux /vmlinuz root=UUID=1 ro # no comment", ["linux", "/vmlinuz", "root=UUID=1", "ro"]),
    ("a 'b c' \"d $x\" e\\ f ${x}g $none", ["a", "b c", "d 1 2", "e f", "1", "2g", "\ufdd0"]),
    ("set a='$x'", ["set", "a=$x"]),
    ("a $empty b", ["a", "b"]),
    ("a '' b#c", ["a", "", "b#c"]),
    ('a "b\\"c', ["a", 'b"c']),
    ("# all of it", []),
]


@pytest.mark.parametrize(("line", "words"), WORDS)
def test_words_of_grubs_shell(line: str, words: list[str]) -> None:
    assert list(commands(line, {"x": "1 2", "empty": ""})) == ([words] if words else [])
    assert list(commands("if true; then a 'x;y'; fi", {})) == [["if", "true"], ["then", "a", "x;y"], ["fi"]]


LONG = {
    "quotes": "'" * 200_000,
    "variables that double": "set a=aaaaaaaaaa\n" + 'set a="$a$a$a$a"\n' * 2000 + "linux $a\n" * 2000,
    "one long line": "linux " + "a " * 120_000,
    "searches": "search --set=root --fs-uuid x\n" * 30_000,
    "entries": "linux /a\n" * 100_000,
    "open ifs": "if if if\n" * 50_000,
    "deep braces": "{ " * 100_000,
    "sourcing itself": "source $prefix/grub.cfg\n" * 40_000,
    "backslashes": "\\" * 200_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_what_is_written_to_take_long_does_not(text: str) -> None:
    began = time.process_time()
    found = guestos_grub.judge(machine(debian(**{CFG: text})))
    assert found.level in {"failed", "unsupported"}
    assert found.advice
    assert time.process_time() - began < 5


def test_random_configurations_never_raise() -> None:
    chance = random.Random(7)
    words = "linux initrd set search --set=root --fs-uuid menuentry if fi source title kernel LABEL APPEND INCLUDE (hd0,gpt1)"
    pieces = [*words.split(), *["$", "${", "}", "{", "'", '"', "\\", "="], "\n", " ", "\0", "\ufdd0", *string.printable]
    for path in (CFG, "/boot/grub/menu.lst", "/boot/extlinux.conf", "/boot/loader/entries/a.conf"):
        for _ in range(100):
            text = "".join(chance.choice(pieces) for _ in range(200)).encode()
            facts = machine(debian(**{CFG: None, path: text}))
            assert not isinstance(facts.get(boot_entries), Exception)
            assert guestos_grub.judge(facts).level in {"ok", "failed", "warning", "unsupported"}
