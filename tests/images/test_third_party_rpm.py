"""rpm databases that nobody here made: of CentOS, Fedora, Rocky, Oracle, SLE and UBI, as the test data of a Go library has them.

Each comes with a list that the rpm of its own system printed. Among them a Berkeley DB of a machine with the big end first.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.fetch import fetch, member
from tests.inspector.memory import facts_of

from packages import documents  # isort: skip
from packages import rpm  # isort: skip

MODULE = ("go", "github.com/anchore/go-rpmdb", "v0.2.2", "e03962d36ccfca545400b850c3a3acb5e7cbd88078d80eebe13bfac5fdcc4379")
ROW = re.compile(r'\{intRef\((\d*)\), "([^"]*)", "([^"]*)", "([^"]*)", "([^"]*)", "([^"]*)"')
DATABASES = {
    "centos5-plain/Packages": "CentOS5Plain",
    "centos6-plain/Packages": "CentOS6Plain",
    "centos6-devtools/Packages": "CentOS6DevTools",
    "centos6-many/Packages": "CentOS6Many",
    "centos7-plain/Packages": "CentOS7Plain",
    "centos7-devtools/Packages": "CentOS7DevTools",
    "centos7-many/Packages": "CentOS7Many",
    "centos7-python35/Packages": "CentOS7Python35",
    "centos7-httpd24/Packages": "CentOS7Httpd24",
    "centos8-modularitylabel/Packages": "CentOS8Modularitylabel",
    "ubi8-s390x/Packages": "UBI8s390x",
    "sle15-bci/Packages.db": "SLE15WithNDB",
    "fedora35/rpmdb.sqlite": "Fedora35WithSQLite3",
    "fedora35-plus-mongo/rpmdb.sqlite": "Fedora35PlusMongoDBWithSQLite3",
    "rockylinux-9/rpmdb.sqlite": "Rockylinux9WithSQLite3",
    "oraclelinux-9/rpmdb.sqlite": "OracleLinux9WithSQLite3",
}
Row = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def archive() -> Path:
    return fetch(*MODULE)


@pytest.fixture(scope="module")
def expected(archive: Path) -> dict[str, list[Row]]:
    """Name, version, architecture and the source's file name of each package, by the list's name; keys are no packages."""
    text = member(archive, "pkg/rpmdb_testcase_test.go").decode()
    found: dict[str, list[Row]] = {}
    for part in re.split(r"\n\t(?=\w+ = func\(\) \[\]\*PackageInfo)", text)[1:]:
        found[part.partition(" ")[0]] = [
            (name, f"{epoch}:{version}-{release}" if epoch else f"{version}-{release}", architecture, source)
            for epoch, name, version, release, architecture, source in ROW.findall(part)
            if name != "gpg-pubkey"
        ]
    return found


def told(path: str, database: bytes) -> Iterator[dict[str, str]]:
    for part in documents(facts_of({f"var/lib/rpm/{path.partition('/')[2]}": database})):
        assert (part["type"], part["complete"], part.get("error")) == ("rpm", True, None)
        yield from part["packages"]


def source_file(package: dict[str, str]) -> str:
    """The source package's file name again, as far as what is told gives it."""
    version = package.get("source_version") or package["version"].rpartition(":")[2]
    return f"{package.get('source') or package['name']}-{version}.src.rpm"


@pytest.mark.parametrize("path", DATABASES)
def test_packages_are_those_that_rpm_listed(path: str, archive: Path, expected: dict[str, list[Row]]) -> None:
    database, rows = member(archive, f"pkg/testdata/{path}"), expected[DATABASES[path]]
    began = time.process_time()
    packages = list(told(path, database))
    assert time.process_time() - began < 3
    assert len(rows) > 30
    found = sorted((one["name"], one["version"], one["architecture"], source_file(one)) for one in packages)
    assert found == sorted(rows)


def test_files_are_found_with_their_owner(archive: Path) -> None:
    database = member(archive, "pkg/testdata/centos7-plain/Packages")
    tree = facts_of({"var/lib/rpm/Packages": database}).files()
    files = dict(rpm.files(tree, frozenset({"passwd", "su", "no-such-file"})))
    assert files.keys() >= {"/usr/bin/passwd", "/usr/bin/su", "/etc/passwd"}
    assert re.fullmatch("[0-9a-f]{64}", files["/usr/bin/passwd"])
