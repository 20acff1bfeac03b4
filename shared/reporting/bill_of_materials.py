"""The installed packages of an image as a CycloneDX document (version 1.6, JSON), each with its package URL."""

from typing import Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from shared.contracts.report import Package, PackageList, Report
from shared.reporting.visible import visible

_PROPERTY: Final = "image-commons:"
_VENDORS: Final = {"deb": "debian", "rpm": None, "apk": "alpine"}


def reason_for_no_bill(report: Report) -> str | None:
    """Return why `report` gives no bill of materials: no package database, or none that could be read. None: it gives one."""
    if report.packages is None:
        return "no package database was found in this image"
    errors = [listed.error for listed in report.packages if listed.error is not None]
    return visible(errors[0]) if errors and not any(listed.packages for listed in report.packages) else None


def bill_of_materials(report: Report, *, name: str) -> str:
    """Return the packages of `report`, of the image called `name`.

    The same report gives the same components in the same order. Whether the image held more packages than a report does is said
    by the property `image-commons:packages` of the image: `complete` or `incomplete`.
    """
    lists, digest = report.packages or (), report.image.digest
    image = Component(
        name=visible(name),
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=digest or report.report_id,
        version=digest,
        hashes=[] if digest is None else [HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))],
        properties=[
            Property(name=f"{_PROPERTY}report", value=report.report_id),
            Property(name=f"{_PROPERTY}rules", value=report.rules_version),
            Property(name=f"{_PROPERTY}packages", value="complete" if all(one.complete for one in lists) else "incomplete"),
        ],
    )
    components = {component.bom_ref.value: component for listed in lists for component in _components(listed)}
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"urn:uuid:{report.report_id}"),
        components=components.values(),
        metadata=BomMetaData(component=image, timestamp=report.finished_at),
    )
    bom.dependencies.add(Dependency(ref=image.bom_ref, dependencies=[Dependency(ref=one.bom_ref) for one in components.values()]))
    text: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    return text


def _components(listed: PackageList) -> list[Component]:
    return [_component(package, listed) for package in listed.packages]


def _component(package: Package, listed: PackageList) -> Component:
    # A package URL has rpm's epoch apart; in a Debian version it stays.
    epoch, _, version = package.version.rpartition(":") if listed.type == "rpm" else ("", "", package.version)
    named = {"arch": package.architecture, "distro": listed.distro, "epoch": epoch, "upstream": _upstream(package)}
    qualifiers = {name: visible(value) for name, value in named.items() if value}
    namespace = listed.namespace or _VENDORS[listed.type]
    url = PackageURL(
        type=listed.type,
        namespace=None if namespace is None else visible(namespace),
        name=visible(package.name),
        version=visible(version) or None,
        qualifiers=qualifiers,
    )
    return Component(
        name=visible(package.name),
        version=visible(package.version) or None,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=url.to_string(),
    )


def _upstream(package: Package) -> str | None:
    if package.source is None:
        return None
    return package.source if package.source_version is None else f"{package.source}@{package.source_version}"
