"""Starts the inspector on one open image, bounds it, and believes nothing it says that does not fit.

Whatever goes wrong with it (it crashes, hangs, floods, lies) ends as an inspection that is not complete, with the reason.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from services.checker.adapters.malware_search import HandedOver
from shared.contracts.facts import Claims
from shared.contracts.gate import VULNERABILITIES, missing_items
from shared.contracts.report import PACKAGES_MAX, Attributes, Item, PackageList
from shared.contracts.rules import KNOWN_ITEMS, RULES_VERSION

PROGRAM: Final = Path(__file__).resolve().parent.parent / "inspector"
_LINE_BYTES_MAX: Final = 1024 * 1024
_STDERR_BYTES_MAX: Final = 4096
_PACKAGES_BYTES_MAX: Final = 4 * 1024 * 1024
_FORMATS: Final = frozenset({"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso"})

JUDGED_HERE: Final = frozenset({VULNERABILITIES})
"""Items that the checker judges by what the inspector tells of the image; the inspector itself has no databases."""

OnProgress = Callable[[str, int, int], None]
"""Told phase, done and total; called on the event loop, must not block."""


@dataclass(frozen=True, slots=True)
class InspectorLimits:
    """What one inspection may use: wall clock and CPU in seconds, address space and output in bytes.

    The address space is beside what each scanner for malware reserves and does not use.
    """

    wall_clock_s: float = 120.0
    cpu_s: int = 120
    memory_bytes: int = 1 << 30
    output_bytes_max: int = 8 * 1024 * 1024


@dataclass(slots=True)
class Inspection:
    """What an inspection gave. `error` says why it is not complete; what came before it is kept as far as it made sense.

    `packages` are the image's package databases, by type; no list where the inspector told of none.
    """

    items: list[Item] = field(default_factory=list)
    packages: dict[str, PackageList] = field(default_factory=dict)
    packages_bytes: int = 0
    format: str | None = None
    virtual_size_bytes: int | None = None
    confinement: tuple[str, ...] = ()
    error: str | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that the rules declare was judged."""
        return self.error is None

    @property
    def attributes(self) -> Attributes:
        """The attributes among the items; those that do not fit are left out."""
        values = {item.name: item.value for item in self.items if item.level == "ok"}
        found = {
            "platform": values.get("GUESTOS.Platform"),
            "os_version": values.get("GUESTOS.OSVersion"),
            "kernel_version": values.get("GUESTOS.KernelVersion"),
            "architecture": values.get("GUESTOS.Architecture"),
            "boot_mode": values.get("GUESTOS.BootMode"),
        }
        kept = {}
        for name, value in found.items():
            with suppress(ValidationError):
                Attributes.model_validate({name: value})
                kept[name] = value
        return Attributes.model_validate(kept)


class _Lie(Exception):
    """The inspector said something that it never says."""


def default_command() -> tuple[str, ...]:
    """Return the command that starts the inspector: this interpreter, isolated from its user's environment and folders."""
    return (sys.executable, "-I", "-B", str(PROGRAM))


async def inspect_image(
    descriptor: int,
    *,
    stated_format: str | None = None,
    name: str | None = None,
    claims: Claims | None = None,
    limits: InspectorLimits = InspectorLimits(),
    on_progress: OnProgress = lambda _phase, _done, _total: None,
    command: Sequence[str] | None = None,
    malware: HandedOver | None = None,
) -> Inspection:
    """Inspect the image open at `descriptor`, which stays the caller's; `malware` is what to search it with, if anything.

    Raises `OSError` only if no process can be started.
    """
    malware = malware or HandedOver()
    memory_bytes = limits.memory_bytes + malware.reserved_bytes
    arguments = [
        *(command or default_command()),
        *("--fd", str(descriptor), "--memory-bytes", str(memory_bytes), "--cpu-s", str(limits.cpu_s)),
        *(("--format", stated_format) if stated_format is not None else ()),
        # With an equals sign: a name may begin with a hyphen.
        *((f"--name={name}",) if name is not None else ()),
        *malware.arguments,
        *((f"--claims={claims.model_dump_json(exclude_none=True)}",) if claims is not None else ()),
    ]
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(descriptor, *malware.descriptors),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        cwd="/",
        limit=_LINE_BYTES_MAX,
        start_new_session=True,
    )
    malware.started()
    inspection = Inspection()
    complaints = asyncio.create_task(_complaints(process))
    try:
        async with asyncio.timeout(limits.wall_clock_s):
            await _listen(process, inspection, limits, on_progress)
    except TimeoutError:
        inspection.error = f"the inspector was stopped after {limits.wall_clock_s:.0f} s"
    except (_Lie, ValidationError) as error:
        inspection.error = f"the inspector's output makes no sense: {_short(error)}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code, said = await _end(process, complaints)
    if inspection.error == _UNFINISHED:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        inspection.error = f"the inspector {how} before it had finished{': ' if said else ''}{said}"[:1000]
    if inspection.error is None:
        declared = missing_items(RULES_VERSION, inspection.items, inspection.attributes.platform)
        if missing := [name for name in declared if name not in JUDGED_HERE]:
            inspection.error = f"the inspector left out {', '.join(missing)}"
    return inspection


_UNFINISHED: Final = "unfinished"
_PIPES_CLOSE_S: Final = 2.0


async def _end(process: asyncio.subprocess.Process, complaints: "asyncio.Task[str]") -> tuple[int, str]:
    """Return the killed process's exit code and its last complaint.

    A child of its that got away may hold the pipes open for as long as it likes; nobody waits for that.
    """
    waiting = asyncio.create_task(process.wait())
    await asyncio.wait([waiting, complaints], timeout=_PIPES_CLOSE_S)
    said = complaints.result() if complaints.done() else ""
    if not (waiting.done() and complaints.done()):
        complaints.cancel()
        # There is no public way to let go of the pipes of a process that has ended.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
        await asyncio.gather(complaints, return_exceptions=True)
    return await waiting, said


async def _listen(
    process: asyncio.subprocess.Process, inspection: Inspection, limits: InspectorLimits, on_progress: OnProgress
) -> None:
    assert process.stdout is not None  # a pipe was asked for
    inspection.error = _UNFINISHED
    received = 0
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            message = f"a line of more than {_LINE_BYTES_MAX} bytes"
            raise _Lie(message) from None
        if not line:
            return
        received += len(line)
        if received > limits.output_bytes_max:
            message = f"more than {limits.output_bytes_max} bytes"
            raise _Lie(message)
        if _take(line, inspection, on_progress):
            inspection.error = None
            return


def _take(line: bytes, inspection: Inspection, on_progress: OnProgress) -> bool:
    """Take one line in; returns whether it was the last. Raises `_Lie` or `ValidationError`."""
    try:
        document = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        raise _Lie(str(error)) from None
    if not isinstance(document, dict) or len(document) != 1:
        message = "a line that is no object of one member"
        raise _Lie(message)
    ((kind, body),) = document.items()
    if kind == "end":
        return True
    if not isinstance(body, dict):
        message = f"{kind!r:.40} is no object"
        raise _Lie(message)
    if kind == "item":
        _take_item(body, inspection)
    elif kind == "image":
        _take_image(body, inspection)
    elif kind == "packages":
        _take_packages(body, len(line), inspection)
    elif kind == "progress":
        _take_progress(body, on_progress)
    elif kind == "begin":
        _take_begin(body, inspection)
    else:
        message = f"a line of kind {kind!r:.40}"
        raise _Lie(message)
    return False


def _take_begin(body: dict[str, Any], inspection: Inspection) -> None:
    held = body.get("confinement")
    if not isinstance(held, list) or not all(isinstance(one, str) and one and one.isprintable() for one in held):
        message = "a confinement that is no list of words"
        raise _Lie(message)
    inspection.confinement = tuple(one[:64] for one in held[:16])


def _take_item(body: dict[str, Any], inspection: Inspection) -> None:
    item = Item.model_validate_json(_again(body))
    if item.name not in KNOWN_ITEMS or item.name in JUDGED_HERE:
        message = f"item {item.name} is not one of the rules"
        raise _Lie(message)
    if any(item.name == known.name for known in inspection.items):
        message = f"item {item.name} is there twice"
        raise _Lie(message)
    if item.level != "ok" and (item.code is None or item.advice is None):
        message = f"item {item.name} is {item.level} without code or advice"
        raise _Lie(message)
    inspection.items.append(item)


def _take_packages(body: dict[str, Any], size_bytes: int, inspection: Inspection) -> None:
    """Take a part of a package list in; lines of one type go together. What is beyond the bounds is left out, and said to be."""
    part = PackageList.model_validate_json(_again(body))
    known = inspection.packages.get(part.type, part.model_copy(update={"packages": ()}))
    inspection.packages_bytes += size_bytes
    taken = sum(len(one.packages) for one in inspection.packages.values())
    fits = PACKAGES_MAX - taken if inspection.packages_bytes <= _PACKAGES_BYTES_MAX else 0
    inspection.packages[part.type] = known.model_copy(
        update={
            "packages": known.packages + part.packages[:fits],
            "complete": known.complete and part.complete and len(part.packages) <= fits,
            "error": known.error or part.error,
        }
    )


def _again(body: dict[str, Any]) -> bytes:
    # Strict validation of lists as tuples is for JSON only, so the part goes through it once more.
    return to_json(body)


def _take_image(body: dict[str, Any], inspection: Inspection) -> None:
    kind, virtual = body.get("format"), body.get("virtual_size_bytes")
    if not isinstance(kind, str) or kind not in _FORMATS or type(virtual) is not int or not 0 <= virtual < 2**64:
        message = "an impossible format or size"
        raise _Lie(message)
    # A header may claim any size; the report's field holds what a disk can have.
    inspection.format, inspection.virtual_size_bytes = kind, min(virtual, 2**62)


def _take_progress(body: dict[str, Any], on_progress: OnProgress) -> None:
    phase, done, total = body.get("phase"), body.get("done"), body.get("total")
    if not isinstance(phase, str) or not isinstance(done, int) or not isinstance(total, int):
        message = "progress without phase, done and total"
        raise _Lie(message)
    on_progress("".join(one for one in phase[:40] if one.isprintable()) or "checking", max(0, done), max(0, total))


async def _complaints(process: asyncio.subprocess.Process) -> str:
    """Read standard error to its end, so that it never blocks, and return the last of it, safe to show."""
    assert process.stderr is not None  # a pipe was asked for
    kept = b""
    while chunk := await process.stderr.read(_STDERR_BYTES_MAX):
        kept = (kept + chunk)[-_STDERR_BYTES_MAX:]
    last = kept.decode(errors="backslashreplace").strip().rpartition("\n")[2]
    return "".join(one if one.isprintable() else "?" for one in last)[:300]


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg'][:160]}"
    return str(error)[:300]
