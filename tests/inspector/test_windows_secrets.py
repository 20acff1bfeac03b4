"""What a Windows says of itself against what is claimed, and what was left behind in it."""

import struct
from collections.abc import Mapping

import pytest

from tests.inspector.memory import facts_of
from tests.inspector.windows_registry import (
    CONTROLS,
    SOFTWARE,
    SYSTEM,
    Data,
    changed,
    hive,
)
from tests.inspector.windows_roots import CONFIG, PROGRAM, Files, judged, windows, with_hive

from claimed import Claimed  # isort: skip

assert facts_of


VERSIONS: dict[str, tuple[dict[str, Data | None], str, str, str]] = {
    "2019": (
        {
            "ProductName": "Windows Server 2019 Standard",
            "CurrentBuildNumber": "17763",
            "DisplayVersion": None,
            "ReleaseId": "1809",
        },
        "Windows Server 2019",
        "Windows Server 2019 Standard 1809",
        "10.0.17763.1547",
    ),
    "2012 R2": (
        {
            "ProductName": "Windows Server 2012 R2 Datacenter",
            "CurrentBuildNumber": "9600",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "DisplayVersion": None,
        },
        "Windows Server 2012 R2",
        "Windows Server 2012 R2 Datacenter",
        "6.3.9600",
    ),
    "2008 R2": (
        {
            "ProductName": "Windows Server 2008 R2 Enterprise",
            "CurrentBuildNumber": "7601",
            "CurrentVersion": "6.1",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "DisplayVersion": None,
            "InstallationType": None,
        },
        "Windows Server 2008 R2",
        "Windows Server 2008 R2 Enterprise",
        "6.1.7601",
    ),
    "core": (
        {"InstallationType": "Server Core"},
        "Windows Server 2022",
        "Windows Server 2022 Datacenter 21H2",
        "10.0.20348.1547",
    ),
    "Hyper-V": (
        {"ProductName": "Hyper-V Server", "CurrentBuildNumber": "17763", "DisplayVersion": None},
        "Windows Server 2019",
        "Hyper-V Server",
        "10.0.17763.1547",
    ),
    "10": (
        {"ProductName": "Windows 10 Pro", "CurrentBuildNumber": "19045", "InstallationType": "Client", "DisplayVersion": "22H2"},
        "Windows 10",
        "Windows 10 Pro 22H2",
        "10.0.19045.1547",
    ),
    "11, which calls itself 10": (
        {"ProductName": "Windows 10 Pro", "CurrentBuildNumber": "22631", "InstallationType": "Client", "DisplayVersion": "23H2"},
        "Windows 11",
        "Windows 11 Pro 23H2",
        "10.0.22631.1547",
    ),
    "7": (
        {
            "ProductName": "Windows 7 Ultimate",
            "CurrentBuildNumber": "7601",
            "CurrentVersion": "6.1",
            "CurrentMajorVersionNumber": None,
            "UBR": None,
            "InstallationType": "Client",
            "DisplayVersion": None,
        },
        "Windows 7",
        "Windows 7 Ultimate",
        "6.1.7601",
    ),
}


@pytest.mark.parametrize(("values", "platform", "version", "kernel"), VERSIONS.values(), ids=VERSIONS.keys())
def test_versions(values: dict[str, Data | None], platform: str, version: str, kernel: str) -> None:
    facts = with_hive("SOFTWARE", changed(SOFTWARE, ("Microsoft\\Windows NT\\CurrentVersion", values)))
    assert [judged(name, facts).value for name in ("Platform", "OSVersion", "KernelVersion")] == [platform, version, kernel]


@pytest.mark.parametrize(("machine", "named"), [(0x8664, "x86_64"), (0xAA64, "arm64"), (0x14C, "i386")])
def test_architecture_by_the_kernels_header(machine: int, named: str) -> None:
    kernel = PROGRAM[:68] + struct.pack("<H", machine) + PROGRAM[70:]
    assert judged("Architecture", windows({"/Windows/System32/ntoskrnl.exe": kernel})).value == named


def test_architecture_by_the_environment() -> None:
    kernel: Files = {"/Windows/System32/ntoskrnl.exe": b"not a program"}
    assert judged("Architecture", windows(kernel)).value == "x86_64"
    system = hive(changed(SYSTEM, (f"{CONTROLS}\\Control\\Session Manager\\Environment", None)))
    assert judged("Architecture", windows({**kernel, f"{CONFIG}/SYSTEM": system})).level == "unsupported"


CLAIMS: dict[str, tuple[Claimed, str | None]] = {
    "right": (Claimed("windows2022_kernel10.0.20348_x86_64_20240101", "windows", "Windows Server 2022", "x86_64", "UEFI"), None),
    "a part of the version": (Claimed("Windows Server 2022 with SQL"), None),
    "another year": (Claimed("win2019_kernel10.0_x86_64_20240101"), "Claims.Version"),
    "another platform": (Claimed(platform="Windows Server 2016"), "Claims.Version"),
    "another kernel": (Claimed("windows2022_kernel10.0.17763_x86_64_20240101"), "Claims.Kernel"),
    "another architecture": (Claimed(architecture="arm64"), "Claims.Architecture"),
    "another system": (Claimed("ubuntu22.04_kernel5.15_x86_64_20240101"), "Claims.System"),
    "another family": (Claimed(os_type="linux"), "Claims.System"),
}


@pytest.mark.parametrize(("claimed", "code"), CLAIMS.values(), ids=CLAIMS.keys())
def test_claims(claimed: Claimed, code: str | None) -> None:
    facts = windows()
    facts.claimed = claimed
    found = judged("Claims", facts)
    assert (found.level, found.code) == (("ok", None) if code is None else ("failed", code)), found


def test_a_client_is_no_server() -> None:
    values: Mapping[str, Data | None] = {
        "ProductName": "Windows 10 Pro",
        "InstallationType": "Client",
        "CurrentBuildNumber": "19045",
    }
    facts = with_hive("SOFTWARE", changed(SOFTWARE, ("Microsoft\\Windows NT\\CurrentVersion", values)))
    facts.claimed = Claimed(platform="Windows Server 2022")
    assert judged("Claims", facts).code == "Claims.System"


KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUxOQ"
    b"\n-----END OPENSSH PRIVATE KEY-----\n"
)
PUBLIC = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBVvJf2cTgyxrpJ6uYkbHAGzx7CbGhQbiIwHY0HvU2sM vendor@build\n"
ANSWERS = """<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem"><component>
<UserAccounts><AdministratorPassword><Value>{}</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>
</component></settings></unattend>
"""
HIDDEN = "UAB3AG4AZQBkADEAMgAzAEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3AG8AcgBkAA=="
SECRETS: dict[str, tuple[str, bytes, str, str]] = {
    "an answer file": (
        "/Windows/Panther/unattend.xml",
        ANSWERS.format("Pwned123").encode(),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "an answer file in UTF-16": (
        "/Windows/System32/Sysprep/unattend.xml",
        ANSWERS.format("Pwned123").encode("utf-16"),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "a password hidden by base 64": (
        "/unattend.xml",
        ANSWERS.format(HIDDEN).encode(),
        "Secrets.Credentials",
        "Pw… (8 characters)",
    ),
    "a password of group policy": (
        "/ProgramData/Microsoft/Group Policy/History/{31B2}/Machine/Preferences/Groups/Groups.xml",
        b'<Groups><User><Properties action="U" cpassword="j1Uyj3Vx8TY9LtLZil2uAuZkFQA/4latT76ZwgdHdhw"/></User></Groups>',
        "Secrets.Credentials",
        "cpassword",
    ),
    "a private key": ("/Users/Administrator/.ssh/id_ed25519", KEY, "Secrets.PrivateKey", "OpenSSH private key"),
    "a host key": ("/ProgramData/ssh/ssh_host_ed25519_key", KEY, "Secrets.HostKeys", "host key"),
    "keys that log in": ("/ProgramData/ssh/administrators_authorized_keys", PUBLIC, "Secrets.AuthorizedKeys", "vendor@build"),
    "keys of an account": ("/Users/Administrator/.ssh/authorized_keys", PUBLIC, "Secrets.AuthorizedKeys", "vendor@build"),
    "cloud credentials": (
        "/Users/Administrator/.aws/credentials",
        b"[default]\naws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzzzzzKEYa\n",
        "Secrets.Credentials",
        "aws_secret_access_key",
    ),
    "a saved session": (
        "/Users/Administrator/AppData/Roaming/FileZilla/recentservers.xml",
        b'<RecentServers><Server><Host>h</Host><Pass encoding="base64">R2VoZWltMTIz</Pass></Server></RecentServers>',
        "Secrets.Credentials",
        "Pass",
    ),
    "a history": (
        "/Users/Administrator/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt",
        b"dir\r\n",
        "Secrets.ShellHistory",
        "history",
    ),
}


@pytest.mark.parametrize(("path", "content", "code", "where"), SECRETS.values(), ids=SECRETS.keys())
def test_secrets(path: str, content: bytes, code: str, where: str) -> None:
    found = judged("Secrets", windows({path: content}))
    assert code in found.value, found
    assert found.level == ("warning" if code == "Secrets.ShellHistory" else "failed")
    assert any(str(one.path).lower() == path.lower() and where in str(one.text) for one in found.evidence), found.evidence
    assert "Pwned123" not in str(found)


NO_SECRETS: dict[str, tuple[str, bytes]] = {
    "a password that Setup deleted": ("/Windows/Panther/unattend.xml", ANSWERS.format("*SENSITIVE*DATA*DELETED*").encode()),
    "a place to fill in": ("/unattend.xml", ANSWERS.format("${password}").encode()),
    "an empty password": ("/unattend.xml", ANSWERS.format("").encode()),
    "a public key of a host": ("/ProgramData/ssh/ssh_host_ed25519_key.pub", PUBLIC),
    "a program's own cache": ("/Users/Administrator/AppData/Local/Microsoft/Edge/x.pem", KEY),
}


@pytest.mark.parametrize(("path", "content"), NO_SECRETS.values(), ids=NO_SECRETS.keys())
def test_what_is_no_secret(path: str, content: bytes) -> None:
    assert judged("Secrets", windows({path: content})).level == "ok"
