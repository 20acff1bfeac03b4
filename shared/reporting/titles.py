"""What each check item looks at, in a few words for a reader of a report (domain, The image check)."""

from typing import Final

TITLES: Final = {
    "GUESTOS.Architecture": "processor architecture",
    "GUESTOS.BCD": "Windows boot configuration",
    "GUESTOS.BootMgr": "Windows boot manager",
    "GUESTOS.BootMode": "boot mode",
    "GUESTOS.CloudAssistant": "cloud assistant agent",
    "GUESTOS.CloudInit": "cloud-init",
    "GUESTOS.DesktopConfig": "desktop configuration",
    "GUESTOS.Dhcp": "addresses by DHCP",
    "GUESTOS.Disk": "disk filter drivers",
    "GUESTOS.Fstab": "file systems mounted at start",
    "GUESTOS.Grub": "boot loader configuration",
    "GUESTOS.Hotfix": "hotfixes known to harm",
    "GUESTOS.KernelVersion": "kernel",
    "GUESTOS.Nvme": "NVMe driver at boot",
    "GUESTOS.OSVersion": "version of the system",
    "GUESTOS.OnlineResizeFS": "root grows with its disk",
    "GUESTOS.Platform": "operating system",
    "GUESTOS.Registry": "Windows registry",
    "GUESTOS.RtcTimeMode": "hardware clock in UTC",
    "GUESTOS.SecurityCenterAgent": "security agent",
    "GUESTOS.Selinux": "SELinux mode",
    "GUESTOS.Server": "device installation",
    "GUESTOS.SupportMocInstanceTypes": "recent enough for new hardware",
    "GUESTOS.Sysprep": "Sysprep state",
    "GUESTOS.SystemImage": "a system disk at all",
    "GUESTOS.Update": "updates left half done",
    "GUESTOS.Virtio": "virtio driver at boot",
    "GUESTOS.Xen": "devices hidden by Xen drivers",
    "SECURITY.Claims": "name and metadata against what was found",
    "SECURITY.DiskFormat": "disk image format",
    "SECURITY.Encryption": "encryption",
    "SECURITY.Malware": "malware",
    "SECURITY.Passwords": "weak passwords",
    "SECURITY.Privileges": "privileged files no package owns",
    "SECURITY.RemoteAccess": "remote root access",
    "SECURITY.Secrets": "left-over secrets",
    "SECURITY.Vulnerabilities": "known vulnerabilities",
}


def title_of(name: str) -> str:
    """Return what the item `name` looks at; its bare name where nobody wrote that down."""
    return TITLES.get(name, name.partition(".")[2])
