"""Asks the inspector about a mutant, and says what is wrong with its answer."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from services.checker.adapters.inspector_process import PROGRAM, Inspection, InspectorLimits, _Lie, _short, _take, inspect_image
from shared.contracts.gate import GatePolicy, GateVerdict, weigh
from shared.contracts.report import Item
from shared.contracts.rules import RULES_VERSION, declared_items, family_of
from shared.policy import shipped_policy

SERVER: Final = Path(__file__).with_name("server.py")
_ELSEWHERE: Final = frozenset({"SECURITY.Vulnerabilities", "SECURITY.Malware"})
"""Judged by what the fuzzer does not hand over: rules and databases."""
_NO_RULES: Final = "the inspector left out SECURITY.Malware"
"""Items that the checker works out without the inspector."""


@dataclass(frozen=True)
class Bounds:
    """What an inspection of a small image may use; more is a finding. `peak_bytes` is what a whole check may use."""

    wall_clock_s: float = 30.0
    cpu_s: float = 10.0
    memory_bytes: int = InspectorLimits().memory_bytes
    peak_bytes: int = 512 * 10**6


@dataclass
class Answer:
    """What the inspector said of an image, `gate` what the gate makes of it; `reads` only where they were asked for."""

    inspection: Inspection
    gate: GateVerdict
    code: int
    complaints: str
    late: bool
    wall_s: float
    cpu_s: float
    peak_bytes: int
    reads: list[tuple[int, int]]
    lie: str | None = None

    @property
    def signature(self) -> frozenset[tuple[str, str, str | None, str]]:
        """What was said, but for its numbers: new words are a new way through the inspector."""
        return frozenset((one.name, one.level, one.code, _words(one.advice)) for one in self.inspection.items)

    def trouble(self, bounds: Bounds) -> tuple[str, str] | None:
        """Return kind and detail of what is wrong with it, whatever the image is."""
        last = self.complaints.strip().rpartition("\n")[2][:300]
        if self.late or self.cpu_s > bounds.cpu_s:
            return "hang", f"{self.wall_s:.1f} s, {self.cpu_s:.1f} s of CPU"
        if self.peak_bytes > bounds.peak_bytes:
            return "memory", f"{self.peak_bytes / 1e6:.0f} MB"
        if self.lie is not None:
            return "lie", self.lie
        if self.code < 0:
            return "death", f"signal {-self.code}"
        if self.code or self.inspection.error is not None:
            return "death", last or self.inspection.error or f"exit code {self.code}"
        return None


def _words(text: str | None) -> str:
    return "".join("0" if one.isdigit() else one for one in text or "")[:60]


def weighed(inspection: Inspection) -> GateVerdict:
    """Weigh as the services' gate does, taking what needs a database or is judged elsewhere to be well, so that a pass shows."""
    items = list(inspection.items)
    platform = inspection.attributes.platform
    for name in declared_items(RULES_VERSION, family_of(platform, {one.name for one in items})):
        if name in _ELSEWHERE and all(one.name != name for one in items):
            items.append(Item(name=name, level="ok"))
    return weigh(items, _policy(), platform=platform, complete=inspection.complete, error=inspection.error)


@cache
def _policy() -> GatePolicy:
    return replace(shipped_policy("gate").region().gate, missing_database_blocks=False)


class Target:
    """A server of inspections (`server.py`), started anew when it is gone."""

    def __init__(self, program: Path = PROGRAM, bounds: Bounds = Bounds()) -> None:
        self._program, self._bounds = program, bounds
        self._process: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def ask(self, image: Path, *, trace: bool = False) -> Answer:
        """Inspect the file."""
        if self._process is None:
            command = (sys.executable, "-I", "-B", str(SERVER), str(self._program))
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        bounds = self._bounds
        asked = {
            "path": str(image),
            "memory_bytes": bounds.memory_bytes,
            "cpu_s": int(bounds.cpu_s) + 1,
            "wall_clock_s": bounds.wall_clock_s,
            "trace": trace,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return _answer(json.loads(self._process.stdout.readline()))

    def ask_truly(self, image: Path) -> Inspection:
        """Inspect the file as the worker does, in a process of its own from the start."""
        descriptor = os.open(image, os.O_RDONLY)
        try:
            limits = InspectorLimits(wall_clock_s=4 * self._bounds.wall_clock_s)
            inspection = asyncio.run(inspect_image(descriptor, limits=limits))
            inspection.error = None if inspection.error == _NO_RULES else inspection.error
            return inspection
        finally:
            os.close(descriptor)


def _answer(said: dict[str, Any]) -> Answer:
    """Take the inspector's output in as the worker does."""
    inspection, lie, reads, ended = Inspection(), None, [], False
    for line in said["output"].encode().splitlines():
        if line.startswith(b'{"reads"'):
            reads = [(int(at), int(length)) for at, length in json.loads(line)["reads"]]
            continue
        try:
            ended = ended or _take(line, inspection, lambda *_: None)
        except (_Lie, ValidationError) as error:
            lie = _short(error)
            break
    if not ended:
        inspection.error = "the inspector did not finish"
    gate = weighed(inspection)
    more = {name: said[name] for name in ("code", "complaints", "late", "wall_s", "cpu_s", "peak_bytes")}
    return Answer(inspection, gate, reads=reads, lie=lie, **more)
