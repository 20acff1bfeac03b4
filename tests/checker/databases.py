"""Upstream's files, small: OSV entries, a tracker's JSON, a suite's index, a catalogue; and stores made of them."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.checker.adapters.databases.kinds import KINDS, Options
from services.checker.adapters.databases.manifest import Manifest
from services.checker.adapters.databases.store import DatabaseStore
from shared.contracts.report import Package, PackageList

TODAY = datetime.now(UTC).date()
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def days_ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def affected(ecosystem: str, package: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """One package of an OSV entry."""
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": package}, "ranges": ranges, **more}


def entry(identifier: str = "DEBIAN-CVE-2026-1001", *packages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An OSV entry; by default openssl of Debian 12, fixed in 3.0.17."""
    given = packages or (affected("Debian:12", "openssl", {"introduced": "0"}, {"fixed": "3.0.17"}),)
    return {"id": identifier, "modified": f"{days_ago(1)}T00:00:00Z", "affected": list(given), **more}


def zipped(file: Path, *entries: dict[str, Any]) -> Path:
    """A zip of entries, as OSV gives them."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in entries:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return file


def catalogue(file: Path, *names: str, **more: Any) -> Path:
    """CISA's catalogue."""
    known = [{"cveID": name, "dueDate": "2026-01-01"} for name in names]
    file.write_text(
        json.dumps({"dateReleased": f"{days_ago(2)}T12:00:00Z", "count": len(known), "vulnerabilities": known, **more})
    )
    return file


def tracker(file: Path, **packages: dict[str, dict[str, Any]]) -> Path:
    """Debian's tracker: by package, by vulnerability, what is said of bookworm."""
    document = {
        package: {
            name: {"scope": "local", "releases": {"bookworm": said, "sid": {"status": "resolved", "fixed_version": "9"}}}
            for name, said in issues.items()
        }
        for package, issues in packages.items()
    }
    file.write_text(json.dumps(document))
    return file


def suite(folder: Path, index: str, *, name: str = "Packages", codename: str = "bookworm-security", **fields: str) -> Path:
    """A suite's index with its InRelease beside it."""
    file = folder / name
    file.write_text(index)
    given = {
        "Origin": "Debian",
        "Codename": codename,
        "Version": "12",
        "Date": datetime.now(UTC).strftime("%a, %d %b %Y 04:00:00 UTC"),
        **fields,
    }
    lines = [f"{key}: {value}" for key, value in given.items() if value]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    lines += ["SHA256:", f" {digest} {len(index)} main/{name}"]
    signed = ["-----BEGIN PGP SIGNED MESSAGE-----", "Hash: SHA256", "", *lines, "-----BEGIN PGP SIGNATURE-----", "", "x"]
    (folder / "InRelease").write_text("\n".join(signed) + "\n")
    return file


def add(store: DatabaseStore, kind: str, source: Path, name: str | None = None, date: str | None = None) -> Manifest:
    return store.add(KINDS[kind], source, name=name, options=Options(date=date))


def osv_store(folder: Path, *entries: dict[str, Any], name: str = "osv") -> DatabaseStore:
    """A store with a database of these entries."""
    folder.mkdir(exist_ok=True)
    store = DatabaseStore(folder / "databases")
    add(store, "osv", zipped(folder / f"{name}.zip", *entries), name)
    return store


def recent_databases(folder: Path) -> Path:
    """A folder of databases that know Debian 12 and 13 and Ubuntu 24.04, and of nothing that a sound image has."""
    others = [
        affected(ecosystem, "openssl", {"introduced": "0"}, {"fixed": "3.0.17"})
        for ecosystem in ("Debian:13", "Ubuntu:24.04:LTS")
    ]
    return osv_store(folder, entry(), entry("CVE-2026-1001", *others)).folder


def packages(*given: str | Package, kind: str = "deb", distro: str | None = "debian-12", **more: Any) -> PackageList:
    """A package list of `name version`, or `name version source source_version`, each."""
    made: Sequence[Package] = [one if isinstance(one, Package) else _package(one) for one in given]
    values = {"type": kind, "namespace": (distro or "").partition("-")[0] or None, "distro": distro, **more}
    return PackageList.model_validate({**values, "packages": tuple(made)})


def _package(text: str) -> Package:
    return Package(**dict(zip(("name", "version", "source", "source_version"), text.split(" "), strict=False)))
