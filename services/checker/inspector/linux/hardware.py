# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which releases and kernels run on newer hardware: `hardware.toml` beside the program, a floor and a reason each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from linux.kernels import version_key


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a release of `distribution` must be, with the kernel that it came with, and why."""

    distribution: str
    version: str
    kernel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """The floors of distributions, and the kernel that any other distribution needs, with its reason."""

    floors: dict[str, Floor]
    kernel: str
    reason: str


def load(data: bytes) -> Hardware:
    """Return what TOML `data` holds; raises `KeyError` or `ValueError` where it makes no sense."""
    document = tomllib.loads(data.decode())
    floors = [Floor(one["distribution"], one["version"], one["kernel"], one["reason"]) for one in document["floor"]]
    return Hardware({one.distribution: one for one in floors}, document["kernel"], document["reason"])


HARDWARE = load((Path(__file__).resolve().parent.parent / "hardware.toml").read_bytes())


def is_older(version: str, floor: str) -> bool:
    """Whether `version` comes before `floor`, as far as both say: 7 is not older than 7.3, which it may be."""
    own, least = version_key(version), version_key(floor)
    length = min(len(own), len(least))
    return own[:length] < least[:length]
