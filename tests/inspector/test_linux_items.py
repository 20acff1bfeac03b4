"""The items of a Linux system's services and settings, both ways: clean is `ok`, trouble is found with its file and line."""

import random
import time

import pytest

from findings import FileText, Unreadable
from items import (
    guestos_cloud_init,
    guestos_dhcp,
    guestos_online_resize_fs,
    guestos_os_version,
    guestos_platform,
    guestos_rtc_time_mode,
    guestos_selinux,
    guestos_support_moc_instance_types,
)
from linux.text import as_yaml
from tests.inspector.linux_roots import (
    CLOUD_INIT,
    DHCP,
    ENABLED,
    ROOT,
    Files,
    bzimage,
    debian,
    grub_cfg,
    judged,
    link,
    machine,
    program,
    where,
    with_changes,
)

CFG = "/boot/grub/grub.cfg"
CLOUD_CFG = "/etc/cloud/cloud.cfg"
ADJTIME = "0.0 0 0.0\n0\n{}\n"
NM = "[connection]\nid=a\ninterface-name=eth0\n[ipv4]\n{}\n"
NETWORKD = "[Match]\nName=en*\n[Network]\n{}\n"
NETPLAN = "network:\n  version: 2\n  ethernets:\n    eth0:\n      {}\n"
V1 = "network:\n  version: 1\n  config:\n    - type: physical\n      name: eth0\n      subnets:\n        - type: {}\n"
NO_CLOUD_INIT: dict[str, None] = dict.fromkeys(CLOUD_INIT)
NM_ON = {f"{ENABLED}NetworkManager.service": link("/usr/lib/systemd/system/NetworkManager.service")}


IFS, IFS_A = "/etc/network/interfaces", "/etc/network/interfaces.d/a"
PLAN, RENDERED = "/etc/netplan/01.yaml", "/etc/netplan/50-cloud-init.yaml"
NM_A, NM_CONF = "/etc/NetworkManager/system-connections/a", "/etc/NetworkManager/conf.d/a.conf"
NETD, NETD_B = "/etc/systemd/network/a.network", "/etc/systemd/network/a.network.d/b.conf"
IFCFG, SUSE = "/etc/sysconfig/network-scripts/ifcfg-eth0", "/etc/sysconfig/network/ifcfg-eth0"
EC2, CLOUD_50 = "/usr/lib/systemd/network/80-ec2.network", "/etc/cloud/cloud.cfg.d/50.cfg"
STATIC_PLAN = NETPLAN.format("addresses: [10.0.0.2/24]")
DHCP_CASES: list[tuple[Files, str | None, str | None, int | None]] = [
    # ifupdown
    (DHCP, None, IFS, 4),
    ({IFS: "auto lo\niface lo inet loopback\n"}, "NotConfigured", None, None),
    ({IFS: "auto e\niface e inet static\n address 10.0.0.2/24\n"}, "StaticAddress", IFS, 2),
    ({IFS: "iface e inet6 static\n"}, "StaticAddress", IFS, 1),
    ({IFS: "source interfaces.d/*\n", IFS_A: "iface a inet static"}, "StaticAddress", IFS_A, 1),
    ({IFS: "source-directory interfaces.d\n", IFS_A: "iface a inet static"}, "StaticAddress", IFS_A, 1),
    ({IFS: "source-directory interfaces.d\n", f"{IFS_A}.bak": "iface a inet static"}, "NotConfigured", None, None),
    ({IFS: "source /etc/network/interfaces\niface a inet dhcp"}, None, IFS, 2),
    ({IFS: "auto e\niface e\n  address 10.0.0.2/24\n"}, "StaticAddress", IFS, 3),
    ({IFS: "auto e\niface e\n  use dhcp\n"}, None, IFS, 3),
    # netplan
    ({PLAN: NETPLAN.format("dhcp4: true")}, None, PLAN, 5),
    ({PLAN: STATIC_PLAN}, "StaticAddress", PLAN, 5),
    ({PLAN: NETPLAN.format("addresses:\n      - 10.0.0.2/24:\n          label: x")}, "StaticAddress", PLAN, 6),
    ({PLAN: NETPLAN.format("addresses: ['fe80::1/64', '127.0.0.2/8']\n      dhcp6: yes")}, None, PLAN, 6),
    ({PLAN: "network: [not, a, mapping]"}, "NotConfigured", None, None),
    ({PLAN: "a: &a [x, *a]\n"}, "NotJudged", None, None),
    ({PLAN: "network: {"}, "NotJudged", None, None),
    ({"/usr/lib/netplan/01.yaml": STATIC_PLAN, PLAN: NETPLAN.format("dhcp4: on")}, None, PLAN, 5),
    # NetworkManager
    ({f"{NM_A}.nmconnection": NM.format("method=auto")}, None, f"{NM_A}.nmconnection", 5),
    ({NM_A: NM.format("method=manual\naddress1=10.0.0.2/24,10.0.0.1")}, "StaticAddress", NM_A, 6),
    ({f"{NM_A}lo.nmconnection": "[connection]\ntype=loopback\n[ipv4]\naddress1=10.0.0.2/24\n"}, "NotConfigured", None, None),
    (NM_ON, None, None, None),
    ({**NM_ON, NM_CONF: "[main]\nno-auto-default=*\n"}, "NotConfigured", None, None),
    ({**NM_ON, "/etc/systemd/system/NetworkManager.service": link("/dev/null")}, "NotConfigured", None, None),
    # systemd-networkd
    ({NETD: NETWORKD.format("DHCP=yes")}, None, NETD, 4),
    ({EC2: NETWORKD.format("DHCP=ipv4")}, None, EC2, 4),
    ({"/usr/lib/systemd/network/80-container-host0.network": NETWORKD.format("DHCP=yes")}, "NotConfigured", None, None),
    ({NETD: NETWORKD.format("Address=10.0.0.2/24")}, "StaticAddress", NETD, 4),
    ({NETD: NETWORKD.format("[Address]\nAddress=10.0.0.2/24")}, "StaticAddress", NETD, 5),
    ({NETD: NETWORKD.format("DHCP=yes"), NETD_B: "[Network]\nAddress=10.0.0.2/24"}, "StaticAddress", NETD_B, 2),
    # ifcfg of Red Hat's and of SUSE's families
    ({IFCFG: "DEVICE=eth0\nBOOTPROTO=dhcp\n"}, None, IFCFG, 2),
    ({SUSE: "BOOTPROTO='dhcp+autoip'\nSTARTMODE='auto'\n"}, None, SUSE, 1),
    ({IFCFG: 'BOOTPROTO="none"\nIPADDR="10.0.0.2"\n'}, "StaticAddress", IFCFG, 2),
    ({SUSE: "STARTMODE=auto\nBOOTPROTO='static'\n"}, "StaticAddress", SUSE, 2),
    ({IFCFG[:-4] + "lo": "DEVICE=lo\nIPADDR=127.0.0.1\n", f"{IFCFG}.bak": "IPADDR=10.0.0.2"}, "NotConfigured", None, None),
    # dhcpcd
    ({"/etc/dhcpcd.conf": "interface eth0\nstatic ip_address=10.0.0.2/24\n"}, "StaticAddress", "/etc/dhcpcd.conf", 2),
    ({"/etc/runlevels/default/dhcpcd": link("/etc/init.d/dhcpcd")}, None, None, None),
    # cloud-init: what it writes anew does not count, what it is told does
    (CLOUD_INIT, None, None, None),
    ({**CLOUD_INIT, RENDERED: STATIC_PLAN}, None, RENDERED, 5),
    ({RENDERED: STATIC_PLAN}, "StaticAddress", RENDERED, 5),
    ({**CLOUD_INIT, IFCFG: "# Created by cloud-init automatically\nIPADDR=10.0.0.2\n"}, None, IFCFG, 2),
    ({**CLOUD_INIT, CLOUD_50: "network: {config: disabled}\n", RENDERED: STATIC_PLAN}, "StaticAddress", RENDERED, 5),
    ({**CLOUD_INIT, CLOUD_50: "network: {config: disabled}\n"}, "NotConfigured", None, None),
    ({**CLOUD_INIT, CLOUD_50: V1.format("static\n          address: 10.0.0.2/24")}, "StaticAddress", CLOUD_50, 7),
    ({**CLOUD_INIT, CLOUD_50: V1.format("dhcp4")}, None, CLOUD_50, 7),
]  # fmt: skip


@pytest.mark.parametrize(("files", "problem", "path", "line"), DHCP_CASES)
def test_dhcp(files: Files, problem: str | None, path: str | None, line: int | None) -> None:
    found = judged(guestos_dhcp, files)
    level = "ok" if problem is None else "unsupported" if problem == "NotJudged" else "warning"
    assert (found.level, found.code, where(found)) == (level, problem and f"Dhcp.{problem}", (path, line))


RTC: list[tuple[Files, int | None]] = [
    ({}, None),
    ({"/etc/adjtime": ADJTIME.format("UTC")}, None),
    ({"/etc/adjtime": ADJTIME.format("LOCAL")}, 3),
    ({"/etc/adjtime": "LOCAL\n"}, None),
    ({"/etc/default/rcS": "# a\nUTC=yes\n"}, None),
    ({"/etc/default/rcS": "# a\nUTC=no\n"}, 2),
    ({"/etc/default/hwclock": 'HWCLOCKPARS="--localtime"\n'}, 1),
    ({"/etc/conf.d/hwclock": '# a\nclock="UTC"\n'}, None),
    ({"/etc/conf.d/hwclock": '# a\n\nclock="local"\n'}, 3),
    ({"/etc/sysconfig/clock": "ZONE=Asia/Shanghai\nUTC=false\n"}, 2),
    ({"/etc/sysconfig/clock": 'HWCLOCK="-u"\n'}, None),
    ({"/etc/sysconfig/clock": 'HWCLOCK="--localtime"\n'}, 1),
    ({"/etc/rc.conf": 'HARDWARECLOCK="localtime"\n'}, 1),
]


@pytest.mark.parametrize(("files", "line"), RTC)
def test_rtc_time_mode(files: Files, line: int | None) -> None:
    found = judged(guestos_rtc_time_mode, files)
    expected = ("ok", None, (None, None)) if line is None else ("warning", "RtcTimeMode.LocalTime", (next(iter(files)), line))
    assert (found.level, found.code, where(found)) == expected


SELINUX: list[tuple[str | None, str, str, tuple[str | None, int | None]]] = [
    (None, "ro quiet", "disabled", (None, None)),
    ("# x\nSELINUX=disabled\n", "ro", "disabled", ("/etc/selinux/config", 2)),
    ("# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", "ro", "enforcing", ("/etc/selinux/config", 2)),
    ("SELINUX=permissive # why\n", "ro", "permissive", ("/etc/selinux/config", 1)),
    ("SELINUX=enforcing\n", "ro selinux=0", "disabled", (CFG, 17)),
    ("SELINUX=enforcing\n", "ro security=apparmor", "disabled", (CFG, 17)),
    ("SELINUX=enforcing\n", "ro lsm=lockdown,apparmor", "disabled", (CFG, 17)),
    ("SELINUX=enforcing\n", "ro enforcing=0", "permissive", (CFG, 17)),
    ("SELINUX=permissive\n", "ro enforcing=1", "enforcing", (CFG, 17)),
    ("SELINUX=disabled\n", "ro enforcing=1", "disabled", ("/etc/selinux/config", 1)),
]


@pytest.mark.parametrize(("config", "options", "mode", "place"), SELINUX)
def test_selinux(config: str | None, options: str, mode: str, place: tuple[str | None, int | None]) -> None:
    files = debian(**{CFG: grub_cfg(options=options), **({} if config is None else {"/etc/selinux/config": config})})
    found = judged(guestos_selinux, files)
    assert (found.value, where(found)) == (mode, place)
    assert (found.level, found.code) == (("ok", None) if mode == "disabled" else ("warning", f"Selinux.{mode.capitalize()}"))


def test_selinux_is_off_only_if_every_entry_says_so() -> None:
    both = grub_cfg(options="selinux=0") + grub_cfg(options="ro")
    assert judged(guestos_selinux, debian(**{CFG: both, "/etc/selinux/config": "SELINUX=enforcing"})).value == "enforcing"


GENERATOR = "/usr/lib/systemd/system-generators/cloud-init-generator"
CLOUD_INIT_CASES: list[tuple[dict[str, object], str | None, str | None]] = [
    ({}, None, "/usr/bin/cloud-init"),
    ({"/usr/bin/cloud-init": None}, "CloudInit.NotInstalled", None),
    ({"/etc/cloud/cloud-init.disabled": ""}, "CloudInit.Disabled", "/etc/cloud/cloud-init.disabled"),
    (
        {"/etc/systemd/system/cloud-init.service": link("/dev/null")},
        "CloudInit.Disabled",
        "/etc/systemd/system/cloud-init.service",
    ),
    ({"/etc/systemd/system/cloud-init-main.service": ""}, "CloudInit.Disabled", "/etc/systemd/system/cloud-init-main.service"),
    ({"/etc/systemd/system/cloud-init.target": link("/dev/null")}, "CloudInit.Disabled", "/etc/systemd/system/cloud-init.target"),
    ({"/etc/cloud/ds-identify.cfg": "# x\npolicy: disabled\n"}, "CloudInit.Disabled", "/etc/cloud/ds-identify.cfg"),
    ({"/etc/cloud/ds-identify.cfg": "policy: search,found=all\n"}, None, "/usr/bin/cloud-init"),
    ({CFG: grub_cfg(options="cloud-init=disabled")}, "CloudInit.Disabled", CFG),
    ({GENERATOR: None}, "CloudInit.NotEnabled", "/usr/bin/cloud-init"),
    ({GENERATOR: None, f"{ENABLED}cloud-init.service": link("x")}, None, "/usr/bin/cloud-init"),
    ({GENERATOR: None, "/etc/runlevels/boot/cloud-init": link("/etc/init.d/cloud-init")}, None, "/usr/bin/cloud-init"),
    ({GENERATOR: None, "/etc/rc3.d/S50cloud-init": link("../init.d/cloud-init")}, None, "/usr/bin/cloud-init"),
    ({GENERATOR: None, "/etc/rc3.d/K50cloud-init": link("../init.d/cloud-init")}, "CloudInit.NotEnabled", "/usr/bin/cloud-init"),
]


@pytest.mark.parametrize(("changes", "code", "path"), CLOUD_INIT_CASES)
def test_cloud_init(changes: dict[str, str | None], code: str | None, path: str | None) -> None:
    found = judged(guestos_cloud_init, with_changes({**debian(), **CLOUD_INIT}, **changes))
    assert (found.level, found.code, where(found)[0]) == ("warning" if code else "ok", code, path)


GROWING: list[tuple[dict[str, object], str | None]] = [
    ({}, None),
    ({"/usr/bin/growpart": None}, "NoGrowpart"),
    ({"/usr/bin/growpart": "#!/bin/sh\n"}, "NoGrowpart"),  # not executable
    ({"/usr/bin/growpart": program("#!/usr/bin/env python9\n")}, "NoInterpreter"),
    ({"/usr/bin/growpart": program("#!/bin/zsh -e\n")}, "NoInterpreter"),
    ({"/usr/sbin/sfdisk": None}, "NoPartitionEditor"),
    ({"/usr/sbin/sfdisk": None, "/sbin/sgdisk": program()}, None),
    ({"/usr/bin/cloud-init": None}, "NoCloudInit"),
    ({"/etc/cloud/cloud-init.disabled": ""}, "NoCloudInit"),
    ({CLOUD_CFG: "cloud_init_modules: [growpart]\n"}, "ModuleNotListed"),
    ({CLOUD_CFG: "cloud_init_modules: [resizefs]\n"}, "ModuleNotListed"),
    ({CLOUD_CFG: "cloud_init_modules:\n - [growpart, always]\n - name: resizefs\n"}, None),
    ({CLOUD_CFG: "# defaults\n"}, None),
    ({"/etc/cloud/cloud.cfg.d/9.cfg": "growpart:\n  mode: off\n"}, "SwitchedOff"),
    ({"/etc/cloud/cloud.cfg.d/9.cfg": "growpart: {mode: auto}\nresize_rootfs: noblock\n"}, None),
    ({"/etc/cloud/cloud.cfg.d/9.cfg": "resize_rootfs: false\n"}, "SwitchedOff"),
    ({"/etc/cloud/cloud.cfg.d/9.txt": "resize_rootfs: false\n"}, None),
    ({"/etc/growroot-disabled": ""}, "SwitchedOff"),
    ({"/usr/sbin/resize2fs": None}, "NoResizer"),
    ({CLOUD_CFG: "a: &x [1, *x]\n"}, "NotReadable"),
    # cloud-init's own 05_logging.cfg has aliases.
    ({"/etc/cloud/cloud.cfg.d/05_logging.cfg": "_log:\n - &base |\n   [loggers]\nlog_cfgs:\n - [*base, x]\n"}, None),
    (
        {**NO_CLOUD_INIT, "/usr/bin/systemd-repart": program(), "/usr/lib/repart.d/50-root.conf": "[Partition]\nType=root\n",
         "/etc/fstab": f"UUID={ROOT} / ext4 defaults,x-systemd.growfs 0 1\n"},
        None,
    ),
    ({**NO_CLOUD_INIT, "/usr/bin/systemd-repart": program(), "/usr/lib/repart.d/50-root.conf": "[Partition]\n"}, "NoGrowpart"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "problem"), GROWING)
def test_online_resize_fs(changes: dict[str, str | None], problem: str | None) -> None:
    found = judged(guestos_online_resize_fs, with_changes({**debian(), **CLOUD_INIT}, **changes))
    level = "ok" if problem is None else "unsupported" if problem == "NotReadable" else "warning"
    assert (found.level, found.code) == (level, problem and f"OnlineResizeFS.{problem}")


@pytest.mark.parametrize(("kind", "tool"), [("xfs", "xfs_growfs"), ("btrfs", "btrfs"), ("ext4", "resize2fs")])
def test_each_file_system_has_a_program_that_grows_it(kind: str, tool: str) -> None:
    files = {**debian(), **CLOUD_INIT}
    assert guestos_online_resize_fs.judge(machine(files, kind=kind)).level == "ok"
    without = {path: one for path, one in files.items() if not path.endswith(f"/{tool}")}
    assert guestos_online_resize_fs.judge(machine(without, kind=kind)).code == "OnlineResizeFS.NoResizer"


MOC = [
    ('ID=debian\nVERSION_ID="12"', "6.1.0-18-amd64", None),
    ('ID=debian\nVERSION_ID="8"', "3.16.0-4-amd64", "ReleaseTooOld"),
    ('ID=debian\nVERSION_ID="12"', "3.16.0-4-amd64", "KernelTooOld"),
    ('ID="centos"\nVERSION_ID="7"', "3.10.0-1160.el7.x86_64", None),
    ('ID="rhel"\nVERSION_ID="7.9"', "3.10.0-1160.el7.x86_64", None),
    ("CentOS release 6.10 (Final)", "2.6.32-754.el6.x86_64", "ReleaseTooOld"),
    ('ID=sles\nVERSION_ID="12.1"', "3.12.49", "ReleaseTooOld"),
    ('ID=sles\nVERSION_ID="15.5"', "5.14.21", None),
    ('ID=ubuntu\nVERSION_ID="14.04"', "3.13.0", "ReleaseTooOld"),
    ("ID=arch", "6.9.1-arch1-1", None),
    ("ID=arch", "3.9.1", "KernelTooOld"),
    ('ID="amzn"\nVERSION_ID="2018.03"', "4.14.336", None),
]


@pytest.mark.parametrize(("release", "kernel", "problem"), MOC)
def test_support_moc_instance_types(release: str, kernel: str, problem: str | None) -> None:
    path = "/etc/os-release" if "=" in release else "/etc/redhat-release"
    found = judged(guestos_support_moc_instance_types, {path: release, f"/boot/vmlinuz-{kernel}": bzimage(kernel)})
    assert (found.level, found.code) == ("warning" if problem else "ok", problem and f"SupportMocInstanceTypes.{problem}")


def test_support_moc_instance_types_without_a_kernel_is_unsupported() -> None:
    assert judged(guestos_support_moc_instance_types, {}).level == "unsupported"


RELEASES = [
    ("/etc/centos-release", "CentOS Linux release 7.9.2009 (Core)\n", "CentOS", "7.9.2009"),
    ("/etc/redhat-release", "CentOS release 6.10 (Final)\n", "CentOS", "6.10"),
    ("/etc/redhat-release", "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n", "Red Hat", "6.10"),
    ("/etc/redhat-release", "Fedora release 20 (Heisenbug)\n", "Fedora", "20"),
    ("/etc/oracle-release", "Oracle Linux Server release 6.9\n", "Oracle Linux", "6.9"),
    ("/etc/system-release", "Amazon Linux AMI release 2013.03\n", "Amazon Linux", "2013.03"),
    ("/etc/system-release", "Own Linux release 3\n", "Own Linux", "3"),
    ("/etc/SuSE-release", "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\n", "SUSE", "11"),
    ("/etc/alpine-release", "3.19.1\n", "Alpine", "3.19.1"),
    ("/etc/debian_version", "7.11\n", "Debian", "7.11"),
    ("/etc/debian_version", "trixie/sid\n", "Debian", "trixie"),
    ("/etc/arch-release", "", "Arch Linux", "rolling"),
]


@pytest.mark.parametrize(("path", "text", "platform", "version"), RELEASES)
def test_releases_before_there_was_an_os_release(path: str, text: str, platform: str, version: str) -> None:
    assert judged(guestos_platform, {path: text}).value == platform
    found = judged(guestos_os_version, {path: text})
    assert (found.value, where(found)[0]) == (f"{platform} {version}", path)


def test_no_release_file_is_unsupported() -> None:
    assert judged(guestos_platform, {"/etc/redhat-release": ""}).level == "unsupported"


YAML_BOMBS = {
    "aliases": "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [{','.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 9)),
    "deep aliases": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99)),
    "an alias of itself": "a: &a [*a]\n",
    "an alias of nothing": "a: *b\n",
    "depth": "[" * 60_000,
    "block depth": "- " * 30_000,
    "many": "[" + "a," * 30_000 + "]",
    "large": "# " + "x" * 70_000,
    "python": "!!python/object/apply:os.system [id]",
    "no text": "\x00\x01",
}


@pytest.mark.parametrize("text", YAML_BOMBS.values(), ids=YAML_BOMBS.keys())
def test_yaml_made_to_harm_does_not(text: str) -> None:
    began = time.process_time()
    if text.startswith("!!python"):
        assert as_yaml(FileText("x", text.encode())) == ["id"]
    else:
        with pytest.raises(Unreadable):
            as_yaml(FileText("x", text.encode()))
    assert time.process_time() - began < 5


def test_an_alias_is_what_it_stands_for() -> None:
    text = b"a: &one {x: &two 1}\nb: [*one, *two]\nc: &two 2\nd: *two\n"
    assert as_yaml(FileText("x", text)) == {"a": {"x": "1"}, "b": [{"x": "1"}, "1"], "c": "2", "d": "2"}


def test_random_files_never_raise_out_of_an_item() -> None:
    chance = random.Random(3)
    paths = [path for files, *_ in DHCP_CASES for path in files] + [CLOUD_CFG, "/etc/adjtime", "/etc/selinux/config", CFG]
    words = ["network", ":", "-", "[", "]", "{", "}", "=", "iface", "static", "address", "config", "'", '"', "&a"]
    pieces = [*words, "\n", " ", "- ", ": ", "\0", "\x85", "é"]
    for _ in range(150):
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(60)))
        facts = machine({**debian(), **CLOUD_INIT, "/etc/fstab": text, **{chance.choice(paths): text for _ in range(4)}})
        for module in (guestos_dhcp, guestos_cloud_init, guestos_online_resize_fs, guestos_selinux, guestos_rtc_time_mode):
            assert module.judge(facts).level in {"ok", "warning", "unsupported"}
