"""The process table: who descends from whom, and who is still there."""

import time
from pathlib import Path


def _parents_and_starts() -> dict[int, tuple[int, str]]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue  # it ended while we looked
        state, parent, *rest = text.rpartition(") ")[2].split()
        if state not in "ZX":
            found[int(path.parent.name)] = (int(parent), rest[17])
    return found


def descendants(pid: int) -> set[tuple[int, str]]:
    """Processes below `pid`, each with its start time: a number alone may be another process's later."""
    table = _parents_and_starts()
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, (parent, _) in table.items() if parent in level}
        found |= level
    return {(child, table[child][1]) for child in found}


def alive(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of `processes` still run."""
    table = _parents_and_starts()
    return {(pid, start) for pid, start in processes if table.get(pid, (0, ""))[1] == start}


def wait_until_gone(processes: set[tuple[int, str]], *, within_s: float = 20) -> None:
    """Wait for the end of `processes`; raises `AssertionError` naming those that stay."""
    end = time.monotonic() + within_s
    while left := alive(processes):
        names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes()[:80] for pid, _ in left if Path(f"/proc/{pid}").exists()}
        assert time.monotonic() < end, f"still there: {names}"
        time.sleep(0.02)
