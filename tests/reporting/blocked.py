"""The report of the screenshot in docs/check.md: `python -m tests.reporting.blocked > report.html`."""

import sys

from shared.contracts.report import Report
from shared.reporting.page import page
from tests.reporting.reports import item, report

NAME = "debian12_kernel6.1_x86_64_20260115.qcow2"


def blocked() -> Report:
    """An image with troubles of several kinds."""
    return report(
        item(
            "GUESTOS.Fstab",
            "failed",
            code="Fstab.NoSuchDevice",
            advice="the system would wait for a device that is not there: name the system disk's file systems by their UUID, and"
            " give what may be absent the option nofail",
            evidence=[
                {
                    "path": "/etc/fstab",
                    "line": 3,
                    "text": "UUID=0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d /data ext4 defaults 0 2",
                    "sha256": "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592",
                }
            ],
        ),
        item(
            "SECURITY.Vulnerabilities",
            "failed",
            code="Vulnerabilities.KnownExploited",
            advice="install the fixed versions with the distribution's package manager and make the image anew",
            evidence=[
                {
                    "path": "/var/lib/dpkg/status",
                    "text": "openssl 3.0.11-1~deb12u1: CVE-2026-1001 critical, fixed in 3.0.18-1~deb12u1",
                },
                {"path": "/var/lib/dpkg/status", "text": "sudo 1.9.13p3-1: CVE-2026-1002 high, fixed in 1.9.13p3-1+deb12u2"},
            ],
            vulnerabilities={"known_exploited": 1, "fixed_critical": 1, "fixed_high": 4, "fixed_medium": 7, "unfixed_medium": 12},
        ),
        item(
            "GUESTOS.Dhcp",
            "warning",
            code="Dhcp.StaticAddress",
            advice="let the interface take its address by DHCP",
            evidence=[{"path": "/etc/network/interfaces", "line": 9, "text": "iface eth0 inet static"}],
        ),
        item(
            "SECURITY.Secrets",
            "warning",
            code="Secrets.ShellHistory",
            advice="remove the shell history before the image is made",
            evidence=[{"path": "/home/build\u202etxt/.bash_history", "line": 12, "text": "curl -H 'Authorization: …' <script>"}],
        ),
        item(
            "SECURITY.Malware",
            "unsupported",
            code="Malware.NoDatabase",
            advice="load signatures with image-commons databases add",
            evidence=[],
        ),
        item("GUESTOS.SystemImage", value="partition 3"),
        item("GUESTOS.Platform", value="Debian"),
        item("GUESTOS.OSVersion", value="Debian 12"),
        item("GUESTOS.Architecture", value="x86_64"),
        item("GUESTOS.KernelVersion", value="6.1.0-18-cloud-amd64"),
        item("GUESTOS.BootMode", value="UEFI-Preferred"),
        item("GUESTOS.Virtio", value="initramfs"),
        item("GUESTOS.Grub", value="grub.cfg"),
        item("GUESTOS.CloudInit", value="22.4.2"),
        item("SECURITY.DiskFormat", value="qcow2"),
        item("SECURITY.Encryption", value="none"),
        item("SECURITY.Passwords", value="2 accounts, none with a password"),
        databases=[
            {
                "name": "debian-tracker",
                "version": "2026-01-12",
                "date": "2026-01-12",
                "purpose": "vulnerabilities",
                "digest": "sha256:" + "9f86d081884c7d65" * 4,
            },
            {"name": "known-exploited", "version": "2026.01.10", "date": "2026-01-10", "purpose": "vulnerabilities"},
        ],
        policy={"name": "inspect", "version": "2", "digest": "sha256:" + "4f7051d082591de0" * 4},
        outcome="blocked",
        blocking=["GUESTOS.Fstab", "SECURITY.Vulnerabilities"],
        unjudged=[{"item": "SECURITY.Malware", "reason": "there is no database for it"}],
        packages=[
            {
                "type": "deb",
                "namespace": "debian",
                "distro": "debian-12",
                "packages": [{"name": f"package{number}", "version": "1"} for number in range(207)],
            }
        ],
    )


if __name__ == "__main__":
    sys.stdout.write(page(blocked(), name=NAME))
