"""`python -m tests.fuzz`: change small images at random for a while, and say what the inspector did wrong.

The exit code is 1 if it did anything wrong. See docs/fuzzing.md. `--replay FILE` inspects one saved finding again.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.found import FOLDER, Finding, ask, has_faults, judge, load, smaller
from tests.fuzz.mutant import Copy, Mutant
from tests.fuzz.mutator import Mutator
from tests.fuzz.seeds import SEEDS, build
from tests.fuzz.target import Answer, Bounds, Target

_TELL_EVERY_S = 10.0
_TRULY_EVERY = 100
_ROUND = 20


@dataclass
class Line:
    """One seed's line of the table."""

    mutants: int = 0
    ways: int = 0
    cpu_s_max: float = 0.0
    slowest: Mutant | None = None
    peak_bytes_max: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: int = 0


@dataclass
class Campaign:
    """A run of the fuzzer: what all its threads share."""

    images: dict[str, Path]
    seconds: float
    number: int
    bounds: Bounds
    keep_in: Path
    lines: dict[str, Line] = field(default_factory=dict)
    findings: dict[tuple[str, str, str], Path] = field(default_factory=dict)
    truly: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    began: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.began >= self.seconds

    @property
    def mutants(self) -> int:
        """How many were inspected."""
        return sum(line.mutants for line in self.lines.values())

    def note(self, mutant: Mutant, answer: Answer, *, new: bool) -> None:
        """Count an answer."""
        with self.lock:
            line = self.lines[mutant.seed]
            if answer.cpu_s > line.cpu_s_max:
                line.slowest = mutant
            line.mutants += 1
            line.ways += new
            line.cpu_s_max, line.peak_bytes_max = max(line.cpu_s_max, answer.cpu_s), max(line.peak_bytes_max, answer.peak_bytes)
            line.outcomes[answer.gate.outcome] += 1

    def keep(self, finding: Finding, make_smaller: "Smaller") -> None:
        """Save a finding, if there is none like it."""
        with self.lock:
            self.lines[finding.mutant.seed].findings += 1
            if finding.key in self.findings:
                return
            self.findings[finding.key] = Path()
        small = make_smaller(finding)
        path = small.save(self.keep_in)
        with self.lock:
            self.findings[finding.key] = path
        print(f"FOUND {small.kind}: {small.mutant.seed}: {small.detail}\n      {path}", flush=True)


class Smaller:
    """Makes findings of one thread smaller."""

    def __init__(self, target: Target, copy: Copy, bounds: Bounds) -> None:
        self._target, self._copy, self._bounds = target, copy, bounds

    def __call__(self, finding: Finding) -> Finding:
        """Return it with fewer changes."""
        if finding.kind in {"hang", "differs"}:  # each try would take its time
            return finding
        return smaller(finding, lambda mutant: ask(self._target, self._copy, mutant, self._bounds))


@contextmanager
def copies_of(images: dict[str, Path]) -> Iterator[dict[str, Copy]]:
    """Give a copy of each image to change."""
    with tempfile.TemporaryDirectory(prefix="image-commons-fuzz-") as folder:
        copies = {name: Copy(path, Path(folder) / name) for name, path in images.items()}
        for name, copy in copies.items():
            copy.protect(_places(images[name], SEEDS[name].markers))
        try:
            yield copies
        finally:
            for copy in copies.values():
                copy.close()


def _places(image: Path, markers: Sequence[bytes]) -> list[tuple[int, int]]:
    data, found = image.read_bytes() if markers else b"", []
    for marker in markers:
        at = data.find(marker)
        while at >= 0:
            found.append((at, at + len(marker)))
            at = data.find(marker, at + 1)
    return found


def _work(campaign: Campaign, job: int) -> None:
    """Change and inspect until the time is up."""
    target = Target(bounds=campaign.bounds)
    with copies_of(campaign.images) as copies:
        parents = {name: target.ask(copy.path, trace=True) for name, copy in copies.items()}
        for name, copy in copies.items():
            if parents[name].gate.outcome == "passed" or not has_faults(copy.path, SEEDS[name]):
                message = f"{name} is no seed: it has no faults, or passes all the same"
                raise ValueError(message)
        reads = {name: parent.reads for name, parent in parents.items()}
        chance = random.Random(f"{campaign.number} {job}")
        mutators = {}
        for name, copy in copies.items():
            others = [(one, reads[other]) for other, one in copies.items() if other != name and reads[other]]
            mutators[name] = Mutator(SEEDS[name], copy, reads[name] or [(0, 4096)], random.Random(chance.random()), others)
        while not campaign.over():
            for name in chance.sample(sorted(mutators), len(mutators)):
                for _ in range(_ROUND):
                    if campaign.over():
                        break
                    _one(campaign, target, mutators[name])
    target.close()


def _one(campaign: Campaign, target: Target, mutator: Mutator) -> None:
    copy = mutator.copy
    mutant = mutator.make()
    try:
        answer = target.ask(copy.path)
        finding = judge(answer, mutant, copy.path, campaign.bounds)
        if finding is None and campaign.mutants % _TRULY_EVERY == 0:
            finding = _compare(campaign, target, answer, copy.path, mutant)
    finally:
        copy.undo()
    campaign.note(mutant, answer, new=finding is None and mutator.learn(mutant, answer.signature))
    if finding is not None:
        campaign.keep(finding, Smaller(target, copy, campaign.bounds))


def _compare(campaign: Campaign, target: Target, answer: Answer, image: Path, mutant: Mutant) -> Finding | None:
    """Inspect it as the worker does: that must say the same."""
    truly = target.ask_truly(image)
    campaign.truly += 1
    said = [[(one.name, one.level, one.code) for one in each.items] for each in (answer.inspection, truly)]
    if said[0] == said[1] and truly.error is None:
        return None
    detail = truly.error or ", ".join(sorted({name for name, *_ in set(said[0]) ^ set(said[1])}))
    return Finding("differs", f"a process of its own: {detail}", mutant)


def _tell(campaign: Campaign) -> None:
    passed = time.monotonic() - campaign.began
    rate = campaign.mutants / max(passed, 0.001)
    print(f"{passed:6.0f} s  {campaign.mutants:8,} mutants  {rate:5.0f}/s  {len(campaign.findings)} findings", flush=True)


def _table(campaign: Campaign) -> Iterator[str]:
    heads = ("mutants", "ways", "blocked", "undetermined", "passed", "CPU max", "memory max", "found")
    yield f"{'seed':16} " + " ".join(f"{head:>12}" for head in heads)
    for name, line in campaign.lines.items():
        counts = line.outcomes
        cells = [f"{line.mutants:,}", f"{line.ways:,}", *(f"{counts[one]:,}" for one in ("blocked", "undetermined", "passed"))]
        cells += [f"{line.cpu_s_max:.2f} s", f"{line.peak_bytes_max / 1e6:.0f} MB", str(line.findings)]
        yield f"{name:16} " + " ".join(f"{cell:>12}" for cell in cells)


def run(campaign: Campaign, jobs: int) -> int:
    """Run the campaign; returns the exit code."""
    campaign.lines = {name: Line() for name in campaign.images}
    with ThreadPoolExecutor(jobs) as pool:
        working = [pool.submit(_work, campaign, job) for job in range(jobs)]
        while wait(working, _TELL_EVERY_S).not_done:
            _tell(campaign)
    for one in working:
        one.result()
    print("\n".join(_table(campaign)))
    slowest = max(campaign.lines.values(), key=lambda line: line.cpu_s_max).slowest
    print(f"the slowest: {json.dumps(slowest.as_document() if slowest else None)}")
    print(
        f"{campaign.mutants:,} mutants in {time.monotonic() - campaign.began:.0f} s by {jobs} jobs, {campaign.truly} also "
        f"through a process of their own; --seed {campaign.number}; {len(campaign.findings)} findings in {campaign.keep_in}"
    )
    return 1 if campaign.findings else 0


def replay(path: Path, bounds: Bounds) -> int:
    """Inspect a saved finding again; returns the exit code."""
    finding = load(path)
    name = finding.mutant.seed
    with tempfile.TemporaryDirectory() as folder:
        images = {name: build(name, Path(folder))}
        with copies_of(images) as copies:
            target = Target(bounds=bounds)
            again = ask(target, copies[name], finding.mutant, bounds)
            target.close()
    print(f"{path.name}: {'nothing is wrong with it' if again is None else f'{again.kind}: {again.detail}'}")
    return 0 if again is None else 1


def main() -> int:
    """Parse the arguments; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random numbers, to change the same again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=sorted(SEEDS), default=list(SEEDS), help="change these images only")
    parser.add_argument("--keep-in", type=Path, default=FOLDER, help="where findings are saved")
    parser.add_argument("--replay", type=Path, default=None, help="inspect a saved finding again")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        return replay(arguments.replay, Bounds())
    with tempfile.TemporaryDirectory(prefix="image-commons-seeds-") as folder:
        images = {name: build(name, Path(folder)) for name in SEEDS if name in arguments.only}
        print(f"{len(images)} seeds made; --seed {arguments.seed}", flush=True)
        campaign = Campaign(images, arguments.seconds, arguments.seed, Bounds(), arguments.keep_in)
        return run(campaign, arguments.jobs)


if __name__ == "__main__":
    sys.exit(main())
