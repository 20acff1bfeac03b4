"""Runs the inspector on one image after the other, each in a process forked off this one: start-up is paid once.

Started as `python -I -B server.py FOLDER`, FOLDER being the inspector's. Reads one JSON object a line from standard input
(`path`, `memory_bytes`, `cpu_s`, `wall_clock_s`, `trace`), answers with one each. The child runs the inspector's own `main`,
confinement and all; only its imports have been done already. Imports nothing of the project: what the child holds is what the
inspector holds.
"""

import gc
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_OUTPUT_BYTES_MAX: Final = 9 * 1024 * 1024
_READS_MAX: Final = 20_000
_PARSERS: Final = ("xfs.xfs", "btrfs", "ntfs")


def _load(folder: Path) -> ModuleType:
    """Import the inspector's main module and all that it imports."""
    spec = importlib.util.spec_from_file_location("inspector_main", folder / "__main__.py")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(folder)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "import_for_both"):
        module.import_for_both()
        module.import_rest()
        for name in _PARSERS:
            importlib.import_module(f"dissect.{name}")
        module.import_for_both = module.import_rest = lambda: None
    return module


def _trace() -> Callable[[], list[tuple[int, int]]]:
    """Note what is read of the image file from now on; returns what returns the ranges, each once, in their order."""
    import containers
    from containers import raw
    from containers.header import Image

    reads: dict[tuple[int, int], None] = {(0, 4096): None}
    read, open_disk = Image.read, raw.open_disk

    def note(offset: int, length: int) -> None:
        if len(reads) < _READS_MAX and length > 0:
            reads[offset, length] = None

    def read_noted(self: Any, offset: int, length: int) -> bytes:
        note(offset, length)
        return read(self, offset, length)

    class Noted:
        """The raw disk, telling of what is read."""

        def __init__(self, disk: Any) -> None:
            self._disk = disk

        def read(self, length: int = -1) -> Any:
            note(self._disk.tell(), length)
            return self._disk.read(length)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._disk, name)

    Image.read = read_noted  # type: ignore[method-assign]
    raw.open_disk = lambda image: Noted(open_disk(image))  # type: ignore[assignment,return-value]
    assert containers.raw is raw
    return lambda: list(reads)


def _child(module: ModuleType, asked: dict[str, Any], out: int, err: int) -> None:
    """Be the inspector; never returns."""
    code = 0
    try:
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 2)
        descriptor = os.open(asked["path"], os.O_RDONLY)
        sys.argv = ["inspector", "--fd", str(descriptor), "--memory-bytes", str(asked["memory_bytes"])]
        sys.argv += ["--cpu-s", str(asked["cpu_s"])]
        reads = _trace() if asked["trace"] else None
        try:
            module.main()
        finally:
            if reads is not None:
                sys.stdout.write(json.dumps({"reads": reads()}) + "\n")
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter would
        code = 1
        traceback.print_exc()
    try:
        sys.stdout.flush()
    finally:
        os._exit(code)


def _listen(out: int, err: int, deadline: float) -> tuple[bytes, bytes, bool]:
    """Return what the child writes, bounded, and whether it was still at it at the deadline."""
    said = {out: b"", err: b""}
    pieces: dict[int, list[bytes]] = {out: [], err: []}
    size = 0
    while pieces and (left_s := deadline - time.monotonic()) > 0 and size <= _OUTPUT_BYTES_MAX:
        for one in select.select(list(pieces), [], [], left_s)[0]:
            piece = os.read(one, 1 << 16)
            size += len(piece)
            if piece:
                pieces[one].append(piece)
            else:
                said[one] = b"".join(pieces.pop(one))
    late = bool(pieces) and size <= _OUTPUT_BYTES_MAX
    for one, kept in pieces.items():
        said[one] = b"".join(kept)
    return said[out], said[err], late


def _run(module: ModuleType, asked: dict[str, Any]) -> dict[str, Any]:
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        _child(module, asked, out_end, err_end)
    os.close(out_end)
    os.close(err_end)
    said, complaints, late = _listen(out, err, began + asked["wall_clock_s"])
    if late:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    os.close(out)
    os.close(err)
    return {
        "output": said.decode(errors="backslashreplace"),
        "complaints": complaints.decode(errors="backslashreplace")[-4000:],
        "late": late,
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": round(time.monotonic() - began, 4),
        "cpu_s": round(used.ru_utime + used.ru_stime, 4),
        "peak_bytes": used.ru_maxrss * 1024,
    }


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module = _load(Path(sys.argv[1]))
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        answer = json.dumps(_run(module, json.loads(line)))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
