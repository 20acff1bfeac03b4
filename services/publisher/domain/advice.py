"""Advice on names and descriptions: what is accepted and could be better (domain, Rules of publishing)."""

import re
from datetime import datetime
from typing import Final

from services.publisher.domain.proposal import Proposal
from shared.contracts.answers import Warned
from shared.contracts.report import Attributes

NAME_CODE: Final = "ImageName.NotRecommended"
DESCRIPTION_CODE: Final = "ImageDescription.PlainLine"
_EXAMPLE: Final = "ubuntu20.04_kernel4.18_x86_64_20230101_v1.0"
_ARCHITECTURES: Final = "x86_64|arm64|i386"
# `x86_64` holds the separator, so the architecture is matched by name.
_RECOMMENDED: Final = re.compile(
    rf"[a-z][a-z-]*[0-9][0-9.]*_kernel[0-9]+(\.[0-9]+)*_({_ARCHITECTURES})_[0-9]{{8}}(_v[0-9]+(\.[0-9]+)*)?"
)
_OS_VERSION: Final = re.compile(r"([^0-9]*)([0-9][0-9.]*)?")
_KERNEL: Final = re.compile(r"[0-9]+\.[0-9]+")


def warnings_of(proposal: Proposal, *, created_at: datetime, attributes: Attributes | None = None) -> tuple[Warned, ...]:
    """Return what could be better; with the check's `attributes` a name is suggested, dated by the image's creation."""
    warnings = []
    if _RECOMMENDED.fullmatch(proposal.name) is None:
        suggested = None if attributes is None else suggested_name(attributes, created_at)
        message = f"recommended: <os><version>_kernel<version>_<arch>_<YYYYMMDD>[_v<version>], for example {_EXAMPLE}"
        warnings.append(Warned(code=NAME_CODE, message=message, suggested_name=suggested))
    if proposal.change_notes is None:
        message = "change notes in seven headings tell image users more than one line does"
        warnings.append(Warned(code=DESCRIPTION_CODE, message=message))
    return tuple(warnings)


def suggested_name(attributes: Attributes, created_at: datetime) -> str | None:
    """Return the recommended name of an image with these facts; None if a part of it was not detected."""
    if attributes.os_version is None or attributes.kernel_version is None or attributes.architecture is None:
        return None
    os_version, kernel = _OS_VERSION.match(attributes.os_version), _KERNEL.match(attributes.kernel_version)
    if os_version is None or kernel is None:
        return None
    family = re.sub(r"[^a-z]+", "-", (os_version[1] or "").casefold()).strip("-")
    name = f"{family}{(os_version[2] or '').rstrip('.')}_kernel{kernel[0]}_{attributes.architecture}_{created_at:%Y%m%d}"
    return name if _RECOMMENDED.fullmatch(name) else None
