"""Secrets: each kind planted and found with path and line, never told whole; what looks like one and is none is left alone."""

import base64
import hashlib
import json
import subprocess
import zlib
from pathlib import Path
from typing import NoReturn

import pytest

from tests.inspector.memory import File, MemoryFileSystem, facts_of

from facts import Facts  # isort: skip
from filesystems.base import Beside  # isort: skip
from findings import Item, Unreadable  # isort: skip
from items import security_secrets  # isort: skip
from security.leftovers import search  # isort: skip
from security.leftovers.identity import host_keys  # isort: skip
from security.leftovers.secret import is_placeholder, masked  # isort: skip
from volumes.volume import Partition, Volume  # isort: skip

PASSWD = """root:x:0:0:root:/root:/bin/bash
alice:x:1000:1000::/home/alice:/bin/bash
test:x:1001:1001::/home/test:/bin/bash
jenkins:x:999:999::/var/lib/jenkins:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
"""
Files = dict[str, File | bytes | str]
# Made up for these tests; none was ever anybody's. Put together here, so that no scanner takes this file for a leak.
RANDOM = "7Qm2Zt9LxV4bNc8RkWs1YpHd6GfJ3aTe5UvBoKiM0qErXyCzSl"
AWS_SECRET = "wq7Zt/9LxV4bNc8RkWs1YpHd6GfJ3aTe5UvBoKi+"


def checked_token(prefix: str) -> str:
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    body, value, digits = RANDOM[:30], zlib.crc32(RANDOM[:30].encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = letters[digit] + digits
    return prefix + body + digits


GITHUB = checked_token("ghp_")


def judged(files: Files) -> Item:
    return security_secrets.judge(facts_of({"etc/passwd": PASSWD} | files))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Real keys of every form, made by the tools that people use."""
    folder = tmp_path_factory.mktemp("keys")

    def made(name: str, *command: str) -> bytes:
        path = folder / name
        subprocess.run([*command, str(path)], check=True, capture_output=True)
        return path.read_bytes()

    keygen = ("ssh-keygen", "-q", "-C", "a@b")
    return {
        "openssh": made("openssh", *keygen, "-t", "ed25519", "-N", "", "-f"),
        "openssh, with a passphrase": made("locked", *keygen, "-t", "ed25519", "-N", "secret", "-f"),
        "pem": made("pem", *keygen, "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"),
        "pkcs8": made("pkcs8", "openssl", "genpkey", "-algorithm", "ed25519", "-out"),
        "pkcs8, with a passphrase": made(
            "p8", "openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out"
        ),
        "ec": made("ec", "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"),
        "public": Path(folder / "openssh.pub").read_bytes(),
    }


PUTTY = b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nPublic-Lines: 1\r\nAA\r\nPrivate-Lines: 1\r\nCC\r\n"


@pytest.mark.parametrize("kind", ["openssh", "openssh, with a passphrase", "pem", "pkcs8", "pkcs8, with a passphrase", "ec"])
@pytest.mark.parametrize(
    "path", ["/root/.ssh/id_ed25519", "/home/test/k", "/etc/app/tls", "/opt/app/server.key", "/var/lib/jenkins/x"]
)
def test_a_private_key(keys: dict[str, bytes], kind: str, path: str) -> None:
    item = judged({path: b"\n" + keys[kind]})
    assert (item.level, item.code) == ("failed", "Secrets.PrivateKey")
    (evidence,) = item.evidence
    assert (evidence.path, evidence.line) == (path, 2)
    assert ("passphrase" in str(evidence.text)) is ("passphrase" in kind)
    assert keys[kind].split(b"\n")[1].decode() not in str(item.as_document())


def test_keys_of_other_forms(keys: dict[str, bytes]) -> None:
    assert judged({"root/a.ppk": PUTTY}).code == "Secrets.PrivateKey"
    document = json.dumps({"type": "service_account", "private_key": keys["pkcs8"].decode()})
    assert judged({"home/alice/gcp.json": document}).code == "Secrets.PrivateKey"


def test_what_is_no_key_of_the_vendor(keys: dict[str, bytes]) -> None:
    key = keys["pkcs8"]
    clean: Files = {
        "usr/share/doc/x/key.pem": key,
        "usr/lib/python3/dist-packages/certifi/cacert.pem": key,
        "opt/app/lib/python3/site-packages/test.pem": key,
        "opt/app/tests/server.key": key,
        "home/alice/app/fixtures/server.key": key,
        "etc/packaged/key.pem": key,
        "var/lib/dpkg/status": "",
        "var/lib/dpkg/info/x.list": "/etc/packaged/key.pem\n",
        "root/id.pub": keys["public"],
        "root/notes": "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n",
        "root/code.py": 'if "-----BEGIN RSA PRIVATE KEY-----" in text: pass',
        "root/cut": key[:60],
        "root/certificate": key.replace(b"PRIVATE KEY", b"CERTIFICATE"),
    }
    item = judged(clean)
    assert (item.level, item.value) == ("ok", "none found")
    item = judged({"etc/ssl/private/ssl-cert-snakeoil.key": key})
    assert (item.level, item.code) == ("warning", "Secrets.GeneratedKey")


def test_a_token_that_a_package_brought_as_it_is() -> None:
    content = f"export KEY={GITHUB}\n"
    md5 = hashlib.md5(content.encode()).hexdigest()
    status = "Package: x\nConffiles:\n /etc/x/y {}\n /etc/x/keys {}\n"
    files: Files = {"etc/x/keys": content, "var/lib/dpkg/status": status.format("0" * 32, md5)}
    assert judged(files).level == "ok"
    item = judged(files | {"etc/x/keys": content + "# changed\n"})
    assert (item.level, item.code) == ("failed", "Secrets.Token")
    assert judged(files | {"var/lib/dpkg/status": "Package: x\n"}).code == "Secrets.Token"


def test_a_key_in_place_of_a_packages_is_the_vendors(keys: dict[str, bytes]) -> None:
    files: Files = {"etc/x/key": keys["pem"], "var/lib/dpkg/info/x.list": "/etc/x/key\n"}
    for md5, level in ((hashlib.md5(keys["pem"]).hexdigest(), "ok"), ("0" * 32, "failed")):
        assert judged(files | {"var/lib/dpkg/status": f"Conffiles:\n /etc/x/key {md5}\n"}).level == level


KUBE_KEY = base64.b64encode(RANDOM.encode()).decode()
AUTH = base64.b64encode(b"alice:" + RANDOM[:20].encode()).decode()
STORES: list[tuple[str, str, int | None, str]] = [
    (
        ".aws/credentials",
        f"[default]\naws_access_key_id = AKIAQ7ZT9LXV4BNC8RKW\naws_secret_access_key = {AWS_SECRET}\n",
        3,
        AWS_SECRET,
    ),
    (".aliyun/config.json", json.dumps({"profiles": [{"access_key_id": "x", "access_key_secret": RANDOM[:30]}]}), 1, RANDOM[:30]),
    (".ossutilconfig", f"[Credentials]\naccessKeySecret={RANDOM[:30]}\n", 2, RANDOM[:30]),
    (".config/gcloud/application_default_credentials.json", json.dumps({"refresh_token": RANDOM}, indent=1), 2, RANDOM),
    (".config/gcloud/legacy_credentials/a@b.c/adc.json", json.dumps({"refresh_token": RANDOM}), 1, RANDOM),
    (".azure/msal_token_cache.json", json.dumps({"RefreshToken": {"x": {"secret": RANDOM}}}), 1, RANDOM),
    (".docker/config.json", json.dumps({"auths": {"registry": {"auth": AUTH}}}), 1, AUTH),
    (".netrc", f"# x\nmachine a login b password {RANDOM[:16]}\n", 2, RANDOM[:16]),
    (".git-credentials", f"https://alice:{GITHUB}@github.com\n", 1, GITHUB),
    (".pypirc", f"[pypi]\nusername = a\npassword = {RANDOM[:16]}\n", 3, RANDOM[:16]),
    (".npmrc", f"//registry/:_authToken={RANDOM[:36]}\n", 1, RANDOM[:36]),
    (".kube/config", f"users:\n- name: a\n  user:\n    client-key-data: {KUBE_KEY}\n", 4, KUBE_KEY),
    (".kube/config", f"users:\n- name: a\n  user: \n    token: {RANDOM}\n", 4, RANDOM),
    (".pgpass", f"db:5432:app:alice:{RANDOM[:12]}\n", 1, RANDOM[:12]),
    (".my.cnf", f"[client]\npassword={RANDOM[:12]}\n", 2, RANDOM[:12]),
    (".vault-token", f"hvs.{RANDOM}", 1, f"hvs.{RANDOM}"),
    (".config/gh/hosts.yml", f"github.com:\n    oauth_token: {GITHUB}\n", 2, GITHUB),
    (".gnupg/private-keys-v1.d/ABC.key", f"(private-key {RANDOM})", 1, RANDOM),
]


@pytest.mark.parametrize("home", ["/root", "/home/alice", "/var/lib/jenkins"])
@pytest.mark.parametrize(
    ("name", "content", "line", "secret"), STORES, ids=[f"{one[0]} {number}" for number, one in enumerate(STORES)]
)
def test_credentials(home: str, name: str, content: str, line: int | None, secret: str) -> None:
    item = judged({f"{home}/{name}": content})
    assert (item.level, item.code) == ("failed", "Secrets.Credentials")
    evidence = item.evidence[0]
    assert (evidence.path, evidence.line) == (f"{home}/{name}", line)
    told = str(item.as_document())
    assert secret not in told
    assert secret[: len(secret) // 2] not in told


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".aws/credentials", "[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"),
        (".aws/credentials", "[default]\naws_secret_access_key = <your key>\n"),
        (".aws/config", "[default]\nregion = us-east-1\n"),
        (".docker/config.json", '{"auths": {"registry": {}}, "credsStore": "pass"}'),
        (".npmrc", "//registry/:_authToken=${NPM_TOKEN}\nprefix=/x\n"),
        (".netrc", "machine a login b password changeme\n"),
        (".kube/config", "users:\n- name: a\n  user:\n    exec: {command: aws}\n"),
        (".git-credentials", ""),
        (".aliyun/config.json", '{"profiles": [{"access_key_secret": ""}]}'),
        (".config/gcloud/credentials.db", ""),
    ],
)
def test_stores_without_credentials(name: str, content: str) -> None:
    assert judged({f"/root/{name}": content}).level == "ok"


HISTORY = [
    (f"export AWS_SECRET_ACCESS_KEY={AWS_SECRET}", AWS_SECRET),
    (f"git clone https://alice:{RANDOM[:14]}@git.corp.net/x", RANDOM[:14]),
    (f"sshpass -p '{RANDOM[:12]}' ssh host", RANDOM[:12]),
    (f"mysql -u root -p{RANDOM[:12]} app", RANDOM[:12]),
    (f"curl -s -u admin:{RANDOM[:12]} https://host", RANDOM[:12]),
    (f"curl -H 'Authorization: Bearer {RANDOM}' https://host", RANDOM),
    (f"docker login -u a -p {RANDOM[:12]}", RANDOM[:12]),
    (f"echo 'root:{RANDOM[:12]}' | chpasswd", RANDOM[:12]),
    (f"PGPASSWORD={RANDOM[:12]} psql", RANDOM[:12]),
    (f"tool --password={RANDOM[:12]}", RANDOM[:12]),
    (f"curl https://host/{GITHUB}", GITHUB),
    (f"x glpat-{RANDOM[:20]} y", f"glpat-{RANDOM[:20]}"),
    (f"API_KEY={RANDOM[:32]} run", RANDOM[:32]),
]


@pytest.mark.parametrize(("command", "secret"), HISTORY)
@pytest.mark.parametrize("name", [".bash_history", ".zsh_history"])
def test_a_history_with_secrets(name: str, command: str, secret: str) -> None:
    item = judged({f"/root/{name}": f"ls\n{command}\n"})
    assert (item.level, item.code) == ("failed", "Secrets.Token")
    assert item.value == ("Secrets.Token", "Secrets.ShellHistory")
    assert (item.evidence[0].path, item.evidence[0].line) == (f"/root/{name}", 2)
    assert secret not in str(item.as_document())


def test_a_history_without_secrets_is_a_warning() -> None:
    plain = [
        "ls -la",
        "cd /etc",
        "mysql -u root -p",
        "export TOKEN=$(cat t)",
        "echo $PASSWORD",
        "curl https://u:$PW@host",
        "passwd root",
        "ssh -p 22 host",
        "export API_KEY=your-api-key-here",
        "git commit -m 'password: fixed'",
        "ghp_" + "a" * 36,
        GITHUB[:-1] + ("0" if GITHUB[-1] != "0" else "1"),
        "docker run -p 80:80 x",
        "tar -czf /tmp/secret.tgz /etc/secret",
    ]
    item = judged({"/home/alice/.bash_history": "\n".join(plain)})
    assert (item.level, item.code) == ("warning", "Secrets.ShellHistory"), item.evidence
    assert judged({"/home/alice/.bash_history": b"\0\n \n"}).level == "ok"


@pytest.mark.parametrize("path", ["/opt/app/.env", "/etc/environment", "/root/.bashrc", "/etc/default/app", "/srv/x/prod.env"])
def test_variables(path: str) -> None:
    item = judged({path: f"# x\nDB_HOST=db\nDB_PASSWORD={RANDOM[:14]}\n"})
    assert (item.level, item.code, item.evidence[0].line) == ("failed", "Secrets.Token", 3)
    assert judged({path: "DB_PASSWORD=\nTOKEN=${X}\nPASSWORD_FILE=/run/x\nSECRET_KEY=changeme\n"}).level == "ok"
    assert judged({"/opt/app/.env.example": f"DB_PASSWORD={RANDOM[:14]}\n"}).level == "ok"


def test_a_token_in_any_file_of_the_places() -> None:
    item = judged({"/etc/app/config.yml": f"a: 1\nt: {GITHUB}\n"})
    assert (item.code, item.evidence[0].line) == ("Secrets.Token", 2)
    assert judged({"/usr/share/x": GITHUB}).level == "ok"


PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3T9n0sV1mYqX2b7c8d9e0f1g2h3i4j5k6l7m8n9o0p"
AUTHORIZED: list[tuple[Files, str, int]] = [
    ({"/root/.ssh/authorized_keys": f"# me\n{PUBLIC} me@host\n"}, "/root/.ssh/authorized_keys", 2),
    ({"/home/alice/.ssh/authorized_keys2": PUBLIC}, "/home/alice/.ssh/authorized_keys2", 1),
    ({"/root/.ssh/authorized_keys": f'no-pty,command="echo a" {PUBLIC}\n'}, "/root/.ssh/authorized_keys", 1),
    ({"/etc/ssh/sshd_config": "AuthorizedKeysFile /etc/ssh/keys/%u\n", "/etc/ssh/keys/alice": PUBLIC}, "/etc/ssh/keys/alice", 1),
]


def with_unmounted(files: Files, mapper: str | None = None) -> tuple[Facts, MemoryFileSystem]:
    facts, second = facts_of({"etc/passwd": PASSWD}), MemoryFileSystem(files)
    facts.volumes.append(Volume(Partition(2, 1 << 30, 1 << 30, mapper=mapper), "ext4", files=second))
    return facts, second


@pytest.mark.parametrize(("mapper", "name"), [(None, "partition 2"), ("data-old", "/dev/mapper/data-old")])
def test_a_volume_that_nothing_mounts_is_searched(keys: dict[str, bytes], mapper: str | None, name: str) -> None:
    files: Files = {"key": keys["ec"], "alice/x.txt": f"token {GITHUB}", "alice/tests/key": keys["ec"]}
    item = security_secrets.judge(with_unmounted(files, mapper)[0])
    assert (item.level, item.code) == ("failed", "Secrets.PrivateKey")
    assert sorted(one.path or "" for one in item.evidence) == [f"{name}:/alice/x.txt", f"{name}:/key"]


def test_of_another_system_the_usual_places_are_searched(keys: dict[str, bytes]) -> None:
    files: Files = {"etc/app/key": keys["ec"], "usr/lib/app/key": keys["ec"], "home/test/key": keys["pem"]}
    item = security_secrets.judge(with_unmounted(files)[0])
    assert sorted(one.path or "" for one in item.evidence) == ["partition 2:/etc/app/key", "partition 2:/home/test/key"]


def test_subvolumes_beside_those_mounted_are_searched(keys: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the walk has entered is looked at again only if it is a system, whose places are others there."""
    facts, second = with_unmounted({"key": b"-"})
    system: Files = {"etc/key": keys["ec"], "usr/key": keys["ec"]}
    beside = [
        Beside("@home/.snapshots/1", MemoryFileSystem({"alice/key": keys["ec"]})),
        Beside("snapshots/1", MemoryFileSystem(system)),
        Beside("@/.snapshots/2", MemoryFileSystem(system), is_entered=True),
        Beside("@/srv/data", MemoryFileSystem({"key": keys["ec"]}), is_entered=True),
    ]
    monkeypatch.setattr(second, "beside", lambda _: iter(beside))
    found = sorted(one.path or "" for one in security_secrets.judge(facts).evidence)
    where = ["@/.snapshots/2:/etc/key", "@home/.snapshots/1:/alice/key", "snapshots/1:/etc/key"]
    assert found == [f"partition 2 {one}" for one in where]


def beside(monkeypatch: pytest.MonkeyPatch, own: Files, *views: Files) -> Item:
    """Judge a system of `own` files beside which lie other systems."""
    facts, second = with_unmounted({"key": b"-"})
    facts.tree = facts_of({"etc/passwd": PASSWD} | own).tree
    found = [Beside(str(number), MemoryFileSystem({"usr/x": b"x"} | view)) for number, view in enumerate(views)]
    monkeypatch.setattr(second, "beside", lambda _: iter(found))
    return security_secrets.judge(facts)


def test_what_a_snapshot_has_as_the_system_has_it_is_judged_there(
    keys: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    snakeoil = {"etc/ssl/private/ssl-cert-snakeoil.key": keys["ec"]}
    assert beside(monkeypatch, snakeoil, snakeoil, snakeoil).code == "Secrets.GeneratedKey"
    other = beside(monkeypatch, snakeoil, {"etc/ssl/private/ssl-cert-snakeoil.key": keys["pem"]})
    assert (other.code, other.evidence[0].path) == (
        "Secrets.PrivateKey",
        "partition 2 0:/etc/ssl/private/ssl-cert-snakeoil.key",
    )


def test_snapshots_take_nothing_from_what_the_system_has(keys: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TOTAL_BYTES_MAX", 4000)
    large: Files = {"etc/app/key": keys["ec"] + b"\n" * 3000}
    item = beside(monkeypatch, large, {f"etc/{number}": b"x" * 1000 for number in range(6)})
    assert (item.level, item.evidence[0].path) == ("failed", "/etc/app/key")


def test_one_view_that_cannot_be_read_ends_no_other(keys: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    broken: Files = {"etc": File(link="/etc")}
    good: Files = {"etc/app/key": keys["ec"], "srv": File(link="/data"), "data/key": keys["pem"]}
    item = beside(monkeypatch, {}, broken, good)
    assert sorted(one.path or "" for one in item.evidence) == ["partition 2 1:/data/key", "partition 2 1:/etc/app/key"]


def test_a_volume_that_is_mounted_is_not_searched_twice(keys: dict[str, bytes]) -> None:
    for point, there in {"/srv": "/srv", "/etc": "/etc", "/opt/a/b": "partition 2:"}.items():
        facts, second = with_unmounted({"key": keys["ec"]})
        facts.files().mount(point, second)
        assert [one.path for one in security_secrets.judge(facts).evidence] == [f"{there}/key"]


def test_a_volume_that_cannot_be_walked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, second = with_unmounted({"key": b"x"})

    def broken(_: str) -> NoReturn:
        code, text = "Malformed", "a directory that makes no sense"
        raise Unreadable(code, text)

    monkeypatch.setattr(second, "children", broken)
    item = security_secrets.judge(facts)
    assert (item.level, item.code) == ("unsupported", "Secrets.NotAllSeen")


@pytest.mark.parametrize(("files", "path", "line"), AUTHORIZED)
def test_authorized_keys(files: Files, path: str, line: int) -> None:
    item = judged(files)
    assert (item.level, item.code) == ("failed", "Secrets.AuthorizedKeys")
    assert (item.evidence[0].path, item.evidence[0].line) == (path, line)
    assert "ssh-ed25519 key" in str(item.evidence[0].text)


def test_no_authorized_keys() -> None:
    assert judged({"/root/.ssh/authorized_keys": f"\n# {PUBLIC}\n"}).level == "ok"
    assert judged({"/root/.ssh/known_hosts": f"host {PUBLIC}\n"}).level == "ok"


CLOUD: Files = {
    "usr/bin/cloud-init": "#!",
    "etc/cloud/cloud.cfg": "cloud_init_modules:\n - migrator\n - ssh\nssh_deletekeys: true\n",
}
HOST_KEYS: dict[str, tuple[Files, str]] = {
    "without cloud-init": ({}, "failed"),
    "with it": (CLOUD, "warning"),
    "by default": (CLOUD | {"etc/cloud/cloud.cfg": "cloud_init_modules:\n  - ssh\n"}, "warning"),
    "newer list": (CLOUD | {"etc/cloud/cloud.cfg": "cloud_init_modules:\n  - [ssh, always]\n"}, "warning"),
    "kept": (CLOUD | {"etc/cloud/cloud.cfg.d/99-keep.cfg": "ssh_deletekeys: false\n"}, "failed"),
    "kept, as RHEL 7": (CLOUD | {"etc/cloud/cloud.cfg": " - ssh\nssh_deletekeys:   0\n"}, "failed"),
    "kept, then not": (
        CLOUD | {"etc/cloud/cloud.cfg": " - ssh\nssh_deletekeys: 0\n", "etc/cloud/cloud.cfg.d/1.cfg": "ssh_deletekeys: 1\n"},
        "warning",
    ),
    "without the module": (CLOUD | {"etc/cloud/cloud.cfg": "cloud_init_modules:\n - migrator\n"}, "failed"),
    "disabled": (CLOUD | {"etc/cloud/cloud-init.disabled": ""}, "failed"),
    "masked": (CLOUD | {"etc/systemd/system/cloud-init.service": File(link="/dev/null")}, "failed"),
}


@pytest.mark.parametrize(("files", "level"), HOST_KEYS.values(), ids=HOST_KEYS.keys())
def test_host_keys(keys: dict[str, bytes], files: Files, level: str) -> None:
    item = judged(files | {"/etc/ssh/ssh_host_ed25519_key": keys["openssh"], "/etc/ssh/ssh_host_ed25519_key.pub": keys["public"]})
    assert (item.level, item.code) == (level, f"Secrets.HostKeys{'Renewed' if level == 'warning' else ''}")
    assert [one.path for one in item.evidence] == ["/etc/ssh/ssh_host_ed25519_key"]
    assert judged(files | {"/etc/ssh/ssh_host_ed25519_key": ""}).level == "ok"
    assert host_keys(facts_of(files)).paths == ()


MACHINE_ID = "0123456789abcdef0123456789abcdef\n"


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        ({"/etc/machine-id": MACHINE_ID}, ["/etc/machine-id"]),
        ({"/etc/machine-id": ""}, []),
        ({"/etc/machine-id": "uninitialized\n"}, []),
        ({"/etc/machine-id": "", "/var/lib/dbus/machine-id": MACHINE_ID}, ["/var/lib/dbus/machine-id"]),
        ({"/etc/machine-id": MACHINE_ID, "/var/lib/dbus/machine-id": File(link="/etc/machine-id")}, ["/etc/machine-id"]),
    ],
)
def test_machine_id(files: Files, paths: list[str]) -> None:
    item = judged(files)
    assert (item.level, [one.path for one in item.evidence]) == ("warning" if paths else "ok", paths)


@pytest.mark.parametrize(("text", "shown"), [("abcdefghijklmnop", "abcd… (16 characters)"), ("secret", "s… (6 characters)")])
def test_a_secret_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert not is_placeholder(text + "1Z")
