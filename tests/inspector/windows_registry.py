"""What a clean Windows Server 2022 has in its registry, as far as the items look; and hives made of it, byte by byte.

Only the standard library: `data/make_hives.py` reads it too, and has the same keys written by hivex.
"""

import struct
from collections.abc import Mapping
from typing import Final

Data = int | str | list[str] | bytes
Keys = Mapping[str, Mapping[str, Data]]

CONTROLS: Final = "ControlSet001"
SERVICES: Final = f"{CONTROLS}\\Services"
DISK_CLASS: Final = f"{CONTROLS}\\Control\\Class\\{{4d36e967-e325-11ce-bfc1-08002be10318}}"
CURRENT: Final = "Microsoft\\Windows\\CurrentVersion"
SERVICING: Final = f"{CURRENT}\\Component Based Servicing"
PACKAGES: Final = f"{SERVICING}\\Packages"
ROLLUP: Final = "Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.1547.1.12"
FIREWALL: Final = f"{SERVICES}\\SharedAccess\\Parameters\\FirewallPolicy"
LET_IN: Final = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=%SystemRoot%\\system32\\svchost.exe|Name=@x|"

SYSTEM: Final[Keys] = {
    "Select": {"Current": 1, "Default": 1, "Failed": 0, "LastKnownGood": 1},
    "Setup": {"SetupType": 2, "SystemSetupInProgress": 1, "OOBEInProgress": 1, "CmdLine": "oobe\\windeploy.exe"},
    "Setup\\Status\\SysprepStatus": {"GeneralizationState": 4, "CleanupState": 2},
    f"{CONTROLS}\\Control\\Session Manager": {"BootExecute": ["autocheck autochk *"], "SETUPEXECUTE": []},
    f"{CONTROLS}\\Control\\Session Manager\\Environment": {"PROCESSOR_ARCHITECTURE": "AMD64"},
    f"{CONTROLS}\\Control\\Terminal Server": {"fDenyTSConnections": 0},
    f"{CONTROLS}\\Control\\Terminal Server\\WinStations\\RDP-Tcp": {"PortNumber": 3389},
    DISK_CLASS: {"Class": "DiskDrive", "UpperFilters": ["partmgr"]},
    f"{SERVICES}\\viostor": {"ImagePath": "System32\\drivers\\viostor.sys", "Type": 1, "Start": 0, "Group": "SCSI Miniport"},
    f"{SERVICES}\\netkvm": {"ImagePath": "\\SystemRoot\\System32\\drivers\\netkvm.sys", "Type": 1, "Start": 3},
    f"{SERVICES}\\partmgr": {"ImagePath": "System32\\drivers\\partmgr.sys", "Type": 1, "Start": 0},
    f"{SERVICES}\\TermService": {"ImagePath": "%SystemRoot%\\System32\\svchost.exe -k termsvcs", "Type": 32, "Start": 3},
    f"{SERVICES}\\AliyunService": {
        "ImagePath": '"C:\\ProgramData\\aliyun\\assist\\2.1.4.965\\aliyun_assist_service.exe"',
        "Type": 16,
        "Start": 2,
    },
    f"{SERVICES}\\DeviceInstall\\Parameters": {"ServiceDll": "%SystemRoot%\\system32\\umpnpmgr.dll"},
    FIREWALL: {"PolicyVersion": 542},
    f"{FIREWALL}\\PublicProfile": {"EnableFirewall": 1},
    f"{FIREWALL}\\StandardProfile": {"EnableFirewall": 1},
    f"{FIREWALL}\\FirewallRules": {"RemoteDesktop-UserMode-In-TCP": LET_IN},
}
SOFTWARE: Final[Keys] = {
    "Microsoft\\Windows NT\\CurrentVersion": {
        "ProductName": "Windows Server 2022 Datacenter",
        "CurrentVersion": "6.3",
        "CurrentBuild": "20348",
        "CurrentBuildNumber": "20348",
        "CurrentMajorVersionNumber": 10,
        "CurrentMinorVersionNumber": 0,
        "UBR": 1547,
        "DisplayVersion": "21H2",
        "EditionID": "ServerDatacenter",
        "InstallationType": "Server",
    },
    "Microsoft\\Windows NT\\CurrentVersion\\Winlogon": {"AutoAdminLogon": "0"},
    f"{CURRENT}\\Setup\\State": {"ImageState": "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"},
    f"{SERVICING}\\SessionsPending": {"Exclusive": 0, "TotalSessionPhases": 0},
    f"{CURRENT}\\WindowsUpdate\\Auto Update": {},
    f"{PACKAGES}\\{ROLLUP}": {"CurrentState": 0x70, "InstallName": f"{ROLLUP}.mum"},
    f"{PACKAGES}\\Package_for_KB5023705~31bf3856ad364e35~amd64~~20348.1547.1.0": {"CurrentState": 0x70},
    f"{PACKAGES}\\Package_for_KB5009555~31bf3856ad364e35~amd64~~20348.469.1.4": {"CurrentState": 0x50},
    f"{PACKAGES}\\Microsoft-Windows-Server-Features~31bf3856ad364e35~amd64~~10.0.20348.1": {"CurrentState": 0x70},
}
RELEASES: Final = {
    "2016": (14393, 5717, "1607"),
    "2019": (17763, 4131, "1809"),
    "2022": (20348, 1547, "21H2"),
    "2025": (26100, 1742, "24H2"),
}
"""Build, an update's revision of it, and the release's name, by year. Source: Microsoft, Windows Server release information."""
MANAGER: Final = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
LOADER: Final = "{1cae1eb7-0000-4d4d-9851-4860e34ef535}"
MEMORY_TEST: Final = "{b2721d73-1db4-4c62-bf78-c548a880142d}"
BOOT_DEVICE: Final = bytes(16) + struct.pack("<IIII", 5, 0, 72, 0) + bytes(56)


def on_gpt(partition: bytes, disk: bytes = bytes(16)) -> bytes:
    """Return the device of a GPT partition, both named as they lie in the table."""
    return bytes(16) + struct.pack("<IIII", 6, 0, 72, 0) + partition + struct.pack("<II", 0, 0) + disk + bytes(16)


def on_mbr(start: int, signature: int) -> bytes:
    """Return the device of the partition that begins at byte `start` of the disk with that signature."""
    where = struct.pack("<QQIII", start, 0, 0, 1, signature)
    return bytes(16) + struct.pack("<IIII", 6, 0, 72, 0) + where + bytes(72 - 16 - len(where))


def bcd(device: bytes, *, uefi: bool) -> Keys:
    """Return the keys of a store whose default entry starts the Windows on `device`."""
    elements = f"Objects\\{LOADER}\\Elements"
    return {
        f"Objects\\{MANAGER}\\Description": {"Type": 0x10100002},
        f"Objects\\{MANAGER}\\Elements\\11000001": {"Element": BOOT_DEVICE},
        f"Objects\\{MANAGER}\\Elements\\23000003": {"Element": LOADER},
        f"Objects\\{MANAGER}\\Elements\\24000001": {"Element": [LOADER]},
        f"Objects\\{MANAGER}\\Elements\\24000010": {"Element": [MEMORY_TEST]},
        f"Objects\\{LOADER}\\Description": {"Type": 0x10200003},
        f"{elements}\\11000001": {"Element": device},
        f"{elements}\\12000002": {"Element": f"\\Windows\\system32\\winload.{'efi' if uefi else 'exe'}"},
        f"{elements}\\12000004": {"Element": "Windows Server"},
        f"{elements}\\21000001": {"Element": device},
        f"{elements}\\22000002": {"Element": "\\Windows"},
        f"Objects\\{MEMORY_TEST}\\Description": {"Type": 0x10200005},
    }


def encoded(data: Data) -> tuple[int, bytes]:
    """Return the type and the bytes of a value: REG_DWORD, REG_SZ, REG_MULTI_SZ or REG_BINARY."""
    if isinstance(data, int):
        return 4, struct.pack("<I", data)
    if isinstance(data, str):
        return 1, f"{data}\0".encode("utf-16-le")
    if isinstance(data, bytes):
        return 3, data
    return 7, "".join([*(f"{one}\0" for one in data), "\0"]).encode("utf-16-le")


def checksum(base: bytes) -> int:
    """Return the exclusive or of a base block's first 127 numbers."""
    found = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        found ^= word
    return found


def based(bins: bytes, root: int, *, sequences: tuple[int, int] = (1, 1), minor: int = 5) -> bytes:
    """Return a hive: a base block in front of its bins."""
    base = struct.pack("<4sIIQIIIIIII", b"regf", *sequences, 133_000_000_000_000_000, 1, minor, 0, 1, root, len(bins), 1)
    base = base.ljust(508, b"\0")
    return (base + struct.pack("<I", checksum(base))).ljust(4096, b"\0") + bins


class Writer:
    """Lays out the cells of one large hive bin, one after the other."""

    def __init__(self, leaf: bytes = b"lh", per_leaf: int = 500) -> None:
        self.cells = bytearray()
        self._leaf, self._per_leaf = leaf, per_leaf

    def cell(self, data: bytes) -> int:
        """Add an allocated cell; returns its offset."""
        at = 32 + len(self.cells)
        size = -(-(4 + len(data)) // 8) * 8
        self.cells += struct.pack("<i", -size) + data.ljust(size - 4, b"\0")
        return at

    def key(self, name: str, tree: Mapping[str, object], *, is_root: bool = False) -> int:
        """Add a key with all beneath it; what is no mapping in `tree` is a value."""
        below = sorted(((one, found) for one, found in tree.items() if isinstance(found, dict)), key=lambda one: one[0].upper())
        values = [self._value(one, found) for one, found in tree.items() if not isinstance(found, dict)]
        keys = [(one, self.key(one, found)) for one, found in below]
        listed = self._list(keys) if keys else 0xFFFFFFFF
        value_list = self.cell(struct.pack(f"<{len(values)}I", *values)) if values else 0xFFFFFFFF
        flags = 0x2C if is_root else 0x20
        head = struct.pack("<2sHQIIIIII", b"nk", flags, 0, 0, 0, len(keys), 0, listed, 0xFFFFFFFF)
        tail = struct.pack("<IIII", len(values), value_list, 0xFFFFFFFF, 0xFFFFFFFF)
        return self.cell(head + tail + bytes(20) + struct.pack("<HH", len(name), 0) + name.encode("latin-1"))

    def _value(self, name: str, data: object) -> int:
        kind, content = encoded(data)  # type: ignore[arg-type]
        if len(content) <= 4:
            size, where = len(content) | 0x80000000, int.from_bytes(content.ljust(4, b"\0"), "little")
        elif len(content) > 16344:
            pieces = [self.cell(content[at : at + 16344]) for at in range(0, len(content), 16344)]
            places = self.cell(struct.pack(f"<{len(pieces)}I", *pieces))
            size, where = len(content), self.cell(struct.pack("<2sHI", b"db", len(pieces), places))
        else:
            size, where = len(content), self.cell(content)
        return self.cell(struct.pack("<2sHIIIHH", b"vk", len(name), size, where, kind, 1, 0) + name.encode("latin-1"))

    def _list(self, keys: list[tuple[str, int]]) -> int:
        leaves = [self._one_list(keys[at : at + self._per_leaf]) for at in range(0, len(keys), self._per_leaf)]
        if len(leaves) == 1:
            return leaves[0]
        return self.cell(struct.pack(f"<2sH{len(leaves)}I", b"ri", len(leaves), *leaves))

    def _one_list(self, keys: list[tuple[str, int]]) -> int:
        body = b"".join(struct.pack("<I", at) + self._hint(name) for name, at in keys)
        return self.cell(struct.pack("<2sH", self._leaf, len(keys)) + body)

    def _hint(self, name: str) -> bytes:
        if self._leaf == b"li":
            return b""
        if self._leaf == b"lf":
            return name[:4].encode("latin-1").ljust(4, b"\0")
        found = 0
        for character in name.upper():
            found = (found * 37 + ord(character)) & 0xFFFFFFFF
        return struct.pack("<I", found)

    def bins(self) -> bytes:
        """Return the bin, its rest one free cell."""
        size = -(-(32 + len(self.cells) + 8) // 4096) * 4096
        left = size - 32 - len(self.cells)
        return struct.pack("<4sII8xQI", b"hbin", 0, size, 0, 0) + self.cells + struct.pack("<i", left).ljust(left, b"\0")


def nested(keys: Keys) -> dict[str, object]:
    """Return the keys as mappings in mappings."""
    top: dict[str, object] = {}
    for path, values in keys.items():
        below = top
        for step in path.split("\\"):
            below = below.setdefault(step, {})  # type: ignore[assignment]
        below.update(values)
    return top


def hive(keys: Keys, *, leaf: bytes = b"lh", per_leaf: int = 500, sequences: tuple[int, int] = (1, 1)) -> bytes:
    """Return a hive that holds `keys`."""
    writer = Writer(leaf, per_leaf)
    root = writer.key("ROOT", nested(keys), is_root=True)
    return based(writer.bins(), root, sequences=sequences)


def changed(keys: Keys, *changes: tuple[str, Mapping[str, Data | None] | None]) -> Keys:
    """Return `keys` with some of them changed: by path, values to set (None deletes one), or None to delete all beneath it."""
    found = {path: dict(values) for path, values in keys.items()}
    for path, values in changes:
        if values is None:
            found = {one: kept for one, kept in found.items() if one != path and not one.startswith(f"{path}\\")}
            continue
        own = found.setdefault(path, {})
        for name, data in values.items():
            if data is None:
                own.pop(name, None)
            else:
                own[name] = data
    return found


def software(year: str) -> Keys:
    """Return what the SOFTWARE of a clean Windows Server of that year holds; up to 2019 ReleaseId is what names the release."""
    build, revision, release = RELEASES[year]
    version: dict[str, Data | None] = {
        "ProductName": f"Windows Server {year} Datacenter",
        "CurrentBuild": str(build),
        "CurrentBuildNumber": str(build),
        "UBR": revision,
        **({"ReleaseId": release, "DisplayVersion": None} if year < "2022" else {"DisplayVersion": release}),
    }
    keys = changed(SOFTWARE, ("Microsoft\\Windows NT\\CurrentVersion", version))
    return {path.replace("20348.1547", f"{build}.{revision}").replace("20348", str(build)): found for path, found in keys.items()}
