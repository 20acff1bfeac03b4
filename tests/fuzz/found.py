"""Findings: what is one, how it is made smaller, and the folder in which they are kept."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.fuzz.mutant import Copy, Mutant, made
from tests.fuzz.seeds import FAULTY_FILES, SEEDS, Seed, faulty
from tests.fuzz.target import Answer, Bounds, Target

FOLDER: Final = Path(__file__).resolve().parents[1] / "inspector" / "data" / "found"
_SMALLER_TRIES_MAX: Final = 200


@dataclass(frozen=True)
class Finding:
    """A mutant, and what is wrong: `hang`, `death`, `memory`, `lie`, `pass`, `overlooked`, or `differs`; in `detail` how."""

    kind: str
    detail: str
    mutant: Mutant

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding as another."""
        words = "".join(one for one in self.detail if not one.isdigit())
        return self.kind, "" if self.kind in {"hang", "memory"} else words[:80], self.mutant.seed if self.kind == "pass" else ""

    def save(self, folder: Path = FOLDER) -> Path:
        """Write it as a file named by its content."""
        document = {"kind": self.kind, "detail": self.detail, **self.mutant.as_document()}
        text = json.dumps(document, indent=1, sort_keys=True)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.mutant.seed}-{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        path.write_text(text + "\n")
        return path


def load(path: Path) -> Finding:
    """Read one that was saved."""
    document = json.loads(path.read_text())
    return Finding(document["kind"], document["detail"], Mutant.from_document(document))


def judge(answer: Answer, mutant: Mutant, image: Path, bounds: Bounds) -> Finding | None:
    """Return what is wrong with the answer about the mutant in the file `image`, if anything is.

    Every seed has troubles that the gate blocks. A mutant that passes is a finding if all markers of the faults planted in its
    seed are still on its disk, as QEMU reads it: then the change cannot have undone them all but by hiding four files at once.
    Without markers any pass is one.
    """
    wrong = answer.trouble(bounds)
    if wrong is not None:
        return Finding(*wrong, mutant)
    overlooked = _overlooked(answer, image, SEEDS[mutant.seed])
    if overlooked is not None:
        return Finding("overlooked", overlooked, mutant)
    if answer.gate.outcome != "passed":
        return None
    return Finding("pass", "it passes, its parent did not", mutant) if has_faults(image, SEEDS[mutant.seed]) else None


def _overlooked(answer: Answer, image: Path, seed: Seed) -> str | None:
    """Return which item is `ok` though another reader finds the files that made it fail as they were, if one is."""
    if seed.read_file is None:
        return None
    for item in answer.inspection.items:
        files = FAULTY_FILES.get(item.name, ()) if item.level == "ok" else ()
        contents = faulty().files
        if files and all(seed.read_file(image, path) == contents[path.strip("/")] for path in files):
            return f"{item.name} is ok, and {files[0]} what it was"
    return None


def has_faults(image: Path, seed: Seed) -> bool:
    """Whether every fault planted in the seed is on the image's virtual disk."""
    disk = _disk(image, seed) if seed.markers else b""
    return all(one in disk for one in seed.markers)


def _disk(image: Path, seed: Seed) -> bytes:
    """Return the virtual disk as QEMU reads it; where it cannot, the markers: what QEMU cannot read is not to pass."""
    if seed.driver == "raw":
        return image.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        command = ("qemu-img", "convert", "-f", seed.driver, "-O", "raw", str(image), str(raw))
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (subprocess.SubprocessError, OSError):
            return b"".join(seed.markers)
        return raw.read_bytes()


def ask(target: Target, copy: Copy, mutant: Mutant, bounds: Bounds) -> Finding | None:
    """Make the mutant, inspect it, judge it."""
    with made(copy, mutant) as image:
        return judge(target.ask(image), mutant, image, bounds)


def smaller(finding: Finding, again: Callable[[Mutant], Finding | None]) -> Finding:
    """Return the finding with as few and as short changes as still give it."""
    best, tries = finding, 0

    def holds(mutant: Mutant) -> bool:
        nonlocal best, tries
        tries += 1
        found = again(mutant) if tries <= _SMALLER_TRIES_MAX else None
        if found is not None and found.key == finding.key:
            best = found
            return True
        return False

    if best.mutant.size is not None:
        holds(replace(best.mutant, size=None))
    number = 0
    while number < len(best.mutant.patches):
        patches = best.mutant.patches
        if not holds(replace(best.mutant, patches=(*patches[:number], *patches[number + 1 :]))):
            number += 1
    for number in range(len(best.mutant.patches)):
        shorter = True
        while shorter:
            at, data = best.mutant.patches[number]
            half = len(data) // 2
            shorter = bool(half) and any(
                holds(replace(best.mutant, patches=(*best.mutant.patches[:number], piece, *best.mutant.patches[number + 1 :])))
                for piece in ((at, data[:half]), (at + half, data[half:]))
            )
    return best
