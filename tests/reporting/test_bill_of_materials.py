"""The bill of materials: valid CycloneDX, every package once with its package URL, whatever the packages are called."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from shared.reporting.bill_of_materials import bill_of_materials, reason_for_no_bill
from tests.reporting.reports import HOSTILE, report


def made(*lists: dict[str, Any], name: str = "disk.qcow2") -> dict[str, Any]:
    """The document, which the official schema allows."""
    text = bill_of_materials(report(packages=lists), name=name)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def listed(type_: str, *packages: dict[str, Any], **different: Any) -> dict[str, Any]:
    return {"type": type_, "packages": packages, **different}


URLS = [
    (
        listed("deb", {"name": "libssl3", "version": "3.0.11-1~deb12u1", "architecture": "amd64"}, distro="debian-12"),
        "pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12",
    ),
    (listed("deb", {"name": "bash", "version": "5.2-2+b7", "source": "bash", "source_version": "5.2-2"}),
     "pkg:deb/debian/bash@5.2-2%2Bb7?upstream=bash%405.2-2"),
    (listed("rpm", {"name": "glibc", "version": "2.34-60.el9"}, namespace="redhat"), "pkg:rpm/redhat/glibc@2.34-60.el9"),
    (listed("rpm", {"name": "vim", "version": "2:9.1-1", "source": "vim"}, namespace="fedora", distro="fedora-40"),
     "pkg:rpm/fedora/vim@9.1-1?distro=fedora-40&epoch=2&upstream=vim"),
    (listed("deb", {"name": "vim", "version": "2:9.1-1"}), "pkg:deb/debian/vim@2:9.1-1"),
    (listed("rpm", {"name": "glibc", "version": ""}), "pkg:rpm/glibc"),
    (listed("apk", {"name": "musl", "version": "1.2.4-r2"}), "pkg:apk/alpine/musl@1.2.4-r2"),
]  # fmt: skip


@pytest.mark.parametrize(("packages", "url"), URLS, ids=[url for _, url in URLS])
def test_a_package_is_a_component_with_its_url(packages: dict[str, Any], url: str) -> None:
    (component,) = made(packages)["components"]
    assert (component["purl"], component["bom-ref"], component["name"]) == (url, url, packages["packages"][0]["name"])
    assert PackageURL.from_string(url).name == component["name"]


def test_the_image_is_what_it_is_of() -> None:
    document = made(listed("deb", {"name": "a", "version": "1"}), listed("rpm", {"name": "b", "version": "1"}, complete=False))
    image = document["metadata"]["component"]
    assert (image["name"], image["version"]) == ("disk.qcow2", "sha256:" + "a" * 64)
    assert image["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    properties = {one["name"]: one["value"] for one in image["properties"]}
    assert properties["image-commons:packages"] == "incomplete"
    (depends,) = [one["dependsOn"] for one in document["dependencies"] if one["ref"] == image["bom-ref"]]
    assert depends == ["pkg:deb/debian/a@1", "pkg:rpm/b@1"]
    assert document == made(
        listed("deb", {"name": "a", "version": "1"}), listed("rpm", {"name": "b", "version": "1"}, complete=False)
    )


def test_an_image_that_was_not_read_to_its_end_has_no_hash() -> None:
    unread = report(image={"size_bytes": 1}, packages=[listed("deb", {"name": "a", "version": "1"})])
    image = json.loads(bill_of_materials(unread, name="x"))["metadata"]["component"]
    assert (image["bom-ref"], "hashes" in image, "version" in image) == (unread.report_id, False, False)


def test_a_package_listed_twice_is_there_once() -> None:
    package = {"name": "kernel", "version": "1"}
    assert len(made(listed("rpm", package, package))["components"]) == 1


def test_a_database_that_was_not_read_gives_no_bill_but_what_was_read_does() -> None:
    package, error = {"name": "a", "version": "1"}, "the rpm package database could not be read: of noise\x1b"
    unread = listed("rpm", complete=False, error=error)
    for lists, reason in (
        ([unread], error.replace("\x1b", "\\u001b")),
        ([unread, listed("deb", package)], None),
        ([listed("rpm", package, complete=False, error=error)], None),
        ([listed("deb")], None),
        (None, "no package database was found in this image"),
    ):
        assert reason_for_no_bill(report(packages=lists)) == reason


def test_hostile_names_are_shown_and_the_document_stays_valid() -> None:
    package = {"name": HOSTILE, "version": HOSTILE, "architecture": HOSTILE[:60], "source": HOSTILE, "source_version": HOSTILE}
    document = made(listed("deb", package, namespace=HOSTILE[:60], distro=HOSTILE[:60]), name=HOSTILE)
    assert json.dumps(document, ensure_ascii=False).isprintable()
    (component,) = document["components"]
    assert component["name"].startswith("a\\u000ab\\u001b[2J<script>")
