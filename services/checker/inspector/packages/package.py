# SPDX-License-Identifier: AGPL-3.0-or-later
"""An installed package, as the inspector tells of it."""

from dataclasses import asdict, dataclass

from findings import shown

TEXT_CHARACTERS_MAX = 256
ARCHITECTURE_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its version as its manager writes it (deb, rpm: `[epoch:]version-release`), and the source it was built from.

    `source` and `source_version` are there where they differ from the package's own.
    """

    name: str
    version: str
    architecture: str | None = None
    source: str | None = None
    source_version: str | None = None

    @property
    def is_real(self) -> bool:
        """Whether it has a name and a version, and all of it is of a length that a package's has."""
        texts = (self.name, self.version, self.source or "", self.source_version or "")
        return (
            self.name != ""
            and self.version != ""
            and max(map(len, texts)) <= TEXT_CHARACTERS_MAX
            and len(self.architecture or "") <= ARCHITECTURE_CHARACTERS_MAX
        )

    def as_document(self) -> dict[str, str]:
        """Return it as JSON-ready data, absent fields left out."""
        return {name: value for name, value in asdict(self).items() if value}


def text_of(data: bytes) -> str:
    """Return a field's text as it can be shown: a stranger wrote it. What is cut off here is longer than `is_real` allows."""
    text = data[: 4 * (TEXT_CHARACTERS_MAX + 1)].decode(errors="backslashreplace").strip()
    return text if text.isprintable() and len(text) <= TEXT_CHARACTERS_MAX else shown(text)


def built_from(package: Package, source: str | None, source_version: str | None) -> Package:
    """Return `package` with the source it was built from, as far as that is called otherwise."""
    other = source if source and source != package.name else None
    version = source_version if source_version and source_version != package.version else None
    return Package(package.name, package.version, package.architecture, other or (source if version else None), version)
