# SPDX-License-Identifier: AGPL-3.0-or-later
"""GRUB Legacy (menu.lst, grub.conf) and SYSLINUX, EXTLINUX and U-Boot's reading of the same (extlinux.conf).

Sources: GNU GRUB Legacy manual 0.97, 13 and 14; Syslinux wiki, Config.
"""

import re

from findings import FileText
from linux.boot.model import LINES_MAX, Boot, Entry, Word, place_named, place_of
from linux.places import Place

_ROOT = re.compile(r"\(?hd\d+(?:,(\d{1,3}))?\)?")
_INCLUDES_MAX = 8


def menu_lst(file: FileText, home: Place, known: list[Place], boot: Boot) -> None:
    """Add the entries of a GRUB Legacy menu."""
    title, place = "", home
    kernel: Word | None = None
    options: Word | None = None
    initramfs: tuple[Word, ...] = ()

    def close() -> None:
        if kernel is not None:
            boot.add(Entry(title, place, kernel, initramfs, options))

    for number, line in enumerate(file.lines[:LINES_MAX], start=1):
        words = line.replace("=", " ", 1).split() if line.lstrip().startswith(("default", "timeout")) else line.split()
        if not words or words[0].startswith("#"):
            continue
        name, rest = words[0].lower(), words[1:]
        if name == "title":
            close()
            title, place, kernel, options, initramfs = " ".join(rest), home, None, None, ()
        elif name in {"root", "rootnoverify"} and rest:
            place = _partition(rest[0], known, home)
        elif name == "uuid" and rest:
            boot.want([Word(f"UUID={rest[0]}", file, number)])
            place = place_named(f"UUID={rest[0]}", known) or home
        elif name == "kernel" and rest:
            rest = [one for one in rest if not one.startswith("--")] or rest
            device, path = _split(rest[0])
            place = _partition(device, known, place) if device else place
            kernel, options = Word(path, file, number), Word(" ".join(rest[1:]), file, number)
        elif name in {"initrd", "module"} and rest:
            initramfs = (*initramfs, *(Word(_split(one)[1], file, number) for one in (rest if name == "initrd" else rest[:1])))
    close()


def _split(path: str) -> tuple[str, str]:
    if path.startswith("("):
        device, _, path = path.partition(")")
        return f"{device})", path
    return "", path


def _partition(device: str, known: list[Place], otherwise: Place) -> Place:
    """Return the place that GRUB Legacy calls `device`: it counts partitions from 0."""
    match = _ROOT.match(device)
    if match is None or match[1] is None:
        return otherwise
    number = int(match[1]) + 1
    volume = next((one.volume for one in known if one.volume is not None and one.volume.partition.number == number), None)
    return place_of(volume, known) or otherwise


def syslinux(file: FileText, folder: str, place: Place, boot: Boot) -> None:
    """Add the entries of a SYSLINUX configuration in `folder`; `APPEND` before the first label holds for all without one."""
    common = Word("", file, None)
    labels: list[dict[str, Word]] = []
    for number, one, line in _lines(file, folder, place):
        key, _, value = line.strip().partition(" ")
        key, word = key.upper(), Word(value.strip(), one, number)
        if key == "LABEL":
            labels.append({"LABEL": word})
        elif key == "APPEND" and not labels:
            common = word
        elif labels and key in {"KERNEL", "LINUX", "INITRD", "APPEND"}:
            labels[-1]["LINUX" if key == "KERNEL" else key] = word
    for label in labels:
        kernel = label.get("LINUX")
        if kernel is None or kernel.text.endswith((".c32", ".com", ".bin", ".0")):
            continue
        options = label.get("APPEND", common)
        stated = [label["INITRD"]] if "INITRD" in label else []
        stated += [
            Word(word.removeprefix("initrd="), options.file, options.line)
            for word in options.text.split()
            if word.startswith("initrd=")
        ]
        paths = [Word(_beneath(folder, path), one.file, one.line) for one in stated for path in one.text.split(",") if path]
        path = Word(_beneath(folder, kernel.text.split(" ")[0]), kernel.file, kernel.line)
        boot.add(Entry(label["LABEL"].text, place, path, tuple(paths), options))


def _lines(file: FileText, folder: str, place: Place) -> list[tuple[int, FileText, str]]:
    """Return the lines with those of included files in their place, one level deep."""
    found: list[tuple[int, FileText, str]] = []
    included = 0
    for number, line in enumerate(file.lines[:LINES_MAX], start=1):
        words = line.replace("\t", " ").split()
        if len(words) > 1 and (words[0].upper() == "INCLUDE" or [one.upper() for one in words[:2]] == ["MENU", "INCLUDE"]):
            included += 1
            other = (
                place.read_text(_beneath(folder, words[1 if words[0].upper() == "INCLUDE" else -1]))
                if included < _INCLUDES_MAX
                else None
            )
            if other is not None:
                found += [(at, other, text.replace("\t", " ")) for at, text in enumerate(other.lines[:LINES_MAX], start=1)]
        else:
            found.append((number, file, line.replace("\t", " ")))
    return found


def _beneath(folder: str, path: str) -> str:
    return path if path.startswith("/") else f"{folder}/{path}"
