# SPDX-License-Identifier: AGPL-3.0-or-later
"""The files in which programs keep credentials, by place, and what in them is secret. Source: each program's manual."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator

from security.leftovers.secret import Secret, is_placeholder, masked

_VALUES_MAX = 32
_DEPTH_MAX = 32
_LINE_CHARACTERS_MAX = 8192
Reader = Callable[[bytes], Iterator[tuple[str, str]]]
"""From a file's bytes to (what it is, the secret)."""


def _lines(data: bytes) -> Iterator[str]:
    for line in data.decode(errors="replace").split("\n"):
        yield line[:_LINE_CHARACTERS_MAX]


def _values(*names: str) -> Reader:
    """Read `name = value`, `name: value` and `name=value` in lines, whatever section they stand in."""
    pattern = re.compile(
        rf"[ \t-]*[\"']?({'|'.join(map(re.escape, names))})[\"']?[ \t]*[=:][ \t]*[\"']?([^\s\"',]+)", re.IGNORECASE
    )

    def read(data: bytes) -> Iterator[tuple[str, str]]:
        for line in _lines(data):
            found = pattern.match(line)
            if found is not None:
                yield found[1], found[2]

    return read


def _pattern(what: str, pattern: str) -> Reader:
    """Read what the pattern's group finds in a line."""
    compiled = re.compile(pattern)

    def read(data: bytes) -> Iterator[tuple[str, str]]:
        for line in _lines(data):
            for found in compiled.finditer(line):
                yield what, found[1]

    return read


def _members(*names: str) -> Reader:
    """Read the members of these names in JSON, however deep."""

    def read(data: bytes) -> Iterator[tuple[str, str]]:
        for name, value in _walk(_json(data)):
            if name in names:
                yield name, value

    return read


def _docker(data: bytes) -> Iterator[tuple[str, str]]:
    """Read `auths`: base 64 of account:password, or a token."""
    for name, value in _walk(_json(data)):
        if name in {"identitytoken", "registrytoken"}:
            yield f"registry {name}", value
        elif name == "auth":
            try:
                decoded = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                continue
            if b":" in decoded[:-1]:
                yield "registry password", value


def _all(what: str) -> Reader:
    """Take the whole file for the secret: it holds nothing else."""

    def read(data: bytes) -> Iterator[tuple[str, str]]:
        text = data.strip().decode(errors="replace")
        if text:
            yield what, text

    return read


def _json(data: bytes) -> object:
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document


def _walk(document: object) -> Iterator[tuple[str, str]]:
    todo: list[tuple[object, int]] = [(document, 0)]
    while todo:
        one, depth = todo.pop()
        pairs = one.items() if isinstance(one, dict) else [("", each) for each in one] if isinstance(one, list) else ()
        for name, value in pairs:
            if isinstance(value, str):
                yield name, value
            elif depth < _DEPTH_MAX:
                todo.append((value, depth + 1))


_AWS = _values("aws_secret_access_key", "aws_session_token", "secret_key", "gs_oauth2_refresh_token", "gs_secret_access_key")
_GOOGLE = _members("refresh_token", "private_key", "client_secret")
_ALIYUN = _members("access_key_secret", "sts_token", "private_key")
_AZURE = _members("secret", "client_secret", "servicePrincipalKey", "accessToken", "refreshToken")
_KUBE = _values("client-key-data", "token", "password")
_URL = _pattern("password in an address", r"[a-z]{3,8}://[^\s/:@]{0,128}:([^\s/@]{1,256})@")

IN_HOMES: tuple[tuple[str, Reader], ...] = (
    (".aws/credentials", _AWS),
    (".aws/config", _AWS),
    (".boto", _AWS),
    (".s3cfg", _AWS),
    (".aliyun/config.json", _ALIYUN),
    (".ossutilconfig", _values("accessKeySecret", "stsToken")),
    (".tccli/default.credential", _members("secretKey")),
    (".config/gcloud/application_default_credentials.json", _GOOGLE),
    (".config/gcloud/legacy_credentials/*/adc.json", _GOOGLE),
    (".config/gcloud/credentials.db", _all("Google Cloud credentials")),
    (".azure/accessTokens.json", _AZURE),
    (".azure/msal_token_cache.json", _AZURE),
    (".azure/service_principal_entries.json", _AZURE),
    (".docker/config.json", _docker),
    (".dockercfg", _docker),
    (".config/containers/auth.json", _docker),
    (".netrc", _pattern("password", r"\bpassword\s{1,8}(\S{1,256})")),
    (".git-credentials", _URL),
    (".config/git/credentials", _URL),
    (".pypirc", _values("password")),
    (".npmrc", _pattern("npm credentials", r"(?:^|:)_(?:authToken|auth|password)\s{0,8}=\s{0,8}\"?([^\s\"]{1,512})")),
    (".yarnrc.yml", _values("npmAuthToken", "npmAuthIdent")),
    (".kube/config", _KUBE),
    (".pgpass", _pattern("password", r"^[^#\s:][^:\n]{0,255}:[^:]{1,16}:[^:]{1,128}:[^:]{1,128}:(.{1,256})$")),
    (".my.cnf", _values("password")),
    (".mylogin.cnf", _all("MySQL login")),
    (".config/gh/hosts.yml", _values("oauth_token")),
    (".config/rclone/rclone.conf", _values("pass", "token", "secret_access_key", "client_secret", "key")),
    (".terraform.d/credentials.tfrc.json", _members("token")),
    (".terraformrc", _values("token")),
    (".cargo/credentials", _values("token")),
    (".cargo/credentials.toml", _values("token")),
    (".gem/credentials", _values(":rubygems_api_key")),
    (".composer/auth.json", _members("password", "github.com")),
    (".m2/settings.xml", _pattern("password", r"<password>([^<]{1,256})</password>")),
    (".vault-token", _all("Vault token")),
    (".huggingface/token", _all("Hugging Face token")),
    (".cache/huggingface/token", _all("Hugging Face token")),
    (".gnupg/private-keys-v1.d/*", _all("GnuPG private key")),
)
IN_SYSTEM: tuple[tuple[str, Reader], ...] = (
    ("/etc/kubernetes/admin.conf", _KUBE),
    ("/etc/kubernetes/super-admin.conf", _KUBE),
    ("/etc/kubernetes/kubelet.conf", _KUBE),
    ("/etc/rancher/k3s/k3s.yaml", _KUBE),
    ("/var/lib/kubelet/config.json", _docker),
    ("/etc/boto.cfg", _AWS),
    ("/etc/npmrc", dict(IN_HOMES)[".npmrc"]),
)


def secrets_of(read: Reader, data: bytes) -> list[Secret]:
    """Return the secrets that `read` finds in a file, without the places that a template leaves to fill in."""
    found = []
    for what, value in read(data):
        if is_placeholder(value):
            continue
        at = data.find(value[:64].encode(errors="replace"))
        found.append(Secret(what, data.count(b"\n", 0, at) + 1 if at >= 0 else None, masked(value)))
        if len(found) >= _VALUES_MAX:
            break
    return found
