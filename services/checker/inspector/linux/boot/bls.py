# SPDX-License-Identifier: AGPL-3.0-or-later
"""Boot loader entries in files of their own, and unified kernel images. Source: UAPI Group, Boot Loader Specification.

systemd-boot reads them, and GRUB on Fedora, RHEL and their kin, where options may hold GRUB's variables.
"""

from findings import FileText
from linux.boot.grub import expand
from linux.boot.model import ENTRIES_MAX, Boot, Entry, Word
from linux.pe import content, sections
from linux.places import Place

_KEYS = ("title", "linux", "efi", "uki", "initrd", "options")


def entries_in(place: Place, folder: str, boot: Boot, variables: dict[str, str]) -> int:
    """Add the entries of `folder`; returns how many there are."""
    names = [name for name in place.names(folder) if name.endswith(".conf")]
    for name in names[:ENTRIES_MAX]:
        file = place.read_text(f"{folder}/{name}")
        if file is not None:
            boot.add(_entry(file, place, variables))
    return len(names)


def _entry(file: FileText, place: Place, variables: dict[str, str]) -> Entry:
    found: dict[str, list[Word]] = {key: [] for key in _KEYS}
    for number, line in enumerate(file.lines[:200], start=1):
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        if key in found and value.strip():
            found[key].append(Word(expand(value.strip(), variables), file, number))
    initramfs = [Word(path, one.file, one.line) for one in found["initrd"] for path in one.text.split()]
    kernel = next(iter(found["linux"] or found["uki"] or found["efi"]), None)
    options = found["options"]
    joined = Word(" ".join(one.text for one in options), file, options[0].line) if options else None
    title = found["title"][0].text if found["title"] else file.path
    return Entry(title, place, kernel, tuple(initramfs), joined, unified=not found["linux"])


def unified_in(place: Place, boot: Boot) -> int:
    """Add the unified kernel images in EFI/Linux; returns how many there are."""
    names = [name for name in place.names("/EFI/Linux") if name.lower().endswith(".efi")]
    for name in names[:ENTRIES_MAX]:
        found = place.find(f"/EFI/Linux/{name}")
        parts = sections(found) if found is not None else {}
        if found is None or ".linux" not in parts:
            continue
        shown = FileText(place.shown(found.path), content(found, parts.get(".cmdline")).rstrip(b"\0"))
        options = Word(shown.data.decode(errors="replace"), shown, 1 if shown.data else None)
        boot.add(Entry(name, place, Word(found.path, shown, None), options=options, unified=True))
    return len(names)
