# SPDX-License-Identifier: AGPL-3.0-or-later
"""What boot loaders' configurations come to, whichever loader it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from findings import FileText
from linux.fstab import named, volume_of
from linux.places import Place
from volumes.volume import Volume

ENTRIES_MAX = 256
DEVICES_MAX = 1024
LINES_MAX = 20_000
FILE_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a configuration, and where it stands: `line` from 1, None where the file has no lines."""

    text: str
    file: FileText
    line: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One choice of the boot menu. Its paths count from the top of `place`, which is None where nobody can tell.

    `options` is the kernel's command line, None where that is not in the configuration. `unified` entries are one file.
    """

    title: str
    place: Place | None
    kernel: Word | None
    initramfs: tuple[Word, ...] = ()
    options: Word | None = None
    unified: bool = False

    def option(self, name: str) -> str | None:
        """Return the value of the last `name=value` of the command line, an empty text for `name` alone."""
        value = None
        for word in (self.options.text if self.options else "").split():
            own, _, rest = word.partition("=")
            if own == name:
                value = rest
        return value


@dataclass(slots=True)
class Boot:
    """All that was found: loaders by name, entries, and what they want besides: devices by `TAG=value`, further files.

    `unjudged` is what could not be followed, in words.
    """

    loaders: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    devices: list[Word] = field(default_factory=list)
    files: list[tuple[Word, Place | None]] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add an entry, as far as there is room."""
        if len(self.entries) < ENTRIES_MAX:
            self.entries.append(entry)
        elif len(self.entries) == ENTRIES_MAX:
            self.unjudged.append(f"more than {ENTRIES_MAX} entries")

    def want(self, devices: Iterable[Word]) -> None:
        """Add devices, as far as there is room."""
        self.devices += islice(devices, max(0, DEVICES_MAX - len(self.devices)))


def place_of(volume: Volume | None, known: Iterable[Place]) -> Place | None:
    """Return the place on `volume`."""
    return next((place for place in known if volume is not None and place.volume is volume), None)


def place_named(spec: str, known: list[Place]) -> Place | None:
    """Return the place whose file system `TAG=value` names."""
    tag = named(spec)
    volumes = [place.volume for place in known if place.volume is not None]
    return None if tag is None else place_of(volume_of(*tag, volumes), known)
