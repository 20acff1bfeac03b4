"""Once it has begun, the inspector reads, and can do nothing else."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from services.checker.adapters.inspector_process import default_command

_CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(?P<name>[a-z0-9_]+)\(.*= (?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<error> E[A-Z]+)?")


def calls_once_confined(image: Path, trace: Path, *more: str) -> list[tuple[str, str]]:
    """Run the real inspector on `image`; returns (name, error) of every system call after the last step of its confinement."""
    descriptor = os.open(image, os.O_RDONLY)
    try:
        command = ("strace", "-f", "-qq", "-o", str(trace), *default_command(), "--fd", str(descriptor), *more)
        subprocess.run(command, check=True, capture_output=True, pass_fds=(descriptor,), cwd="/")
    finally:
        os.close(descriptor)
    lines = trace.read_text().splitlines()
    (last,) = [number for number, line in enumerate(lines) if "seccomp(SECCOMP_SET_MODE_FILTER" in line and "= 0" in line]
    found = [_CALL.match(line) for line in lines[last + 1 :]]
    return [(call["name"], (call["error"] or "").strip()) for call in found if call is not None]


def calls_by_process(image: Path, trace: Path, *more: str, pass_fds: tuple[int, ...] = ()) -> list[list[tuple[str, str]]]:
    """The same for each process of the inspector by itself, with the calls of its threads from then on."""
    descriptor = os.open(image, os.O_RDONLY)
    try:
        command = ("strace", "-f", "-qq", "-o", str(trace), *default_command(), "--fd", str(descriptor), *more)
        subprocess.run(command, check=True, capture_output=True, pass_fds=(descriptor, *pass_fds), cwd="/")
    finally:
        os.close(descriptor)
    lines = [line.partition(" ")[::2] for line in trace.read_text().splitlines()]
    # libseccomp asks what the kernel knows before; the last is the filter itself.
    confined = {process: at for at, (process, line) in enumerate(lines) if "seccomp" in line}
    found = []
    for process, at in confined.items():
        assert lines[at][1].endswith("= 0")
        # What another process was in the middle of is told in two pieces, of which the second has the result.
        later = [one.strip().replace("<... ", "").replace(" resumed>", "(") for own, one in lines[at + 1 :] if own == process]
        calls = [call for call in map(_CALL.match, later) if call is not None]
        found.append([(call["name"], (call["error"] or "").strip()) for call in calls])
    return found


FORBIDDEN = re.compile(r"open|socket|connect|bind|exec|clone|fork|unlink|rename|mkdir|kill|ptrace|mount|chmod|chown")


@pytest.mark.parametrize("image", ["good_raw", "good_qcow2"])
def test_it_opens_nothing_starts_nothing_and_talks_to_nobody(image: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    calls = calls_once_confined(request.getfixturevalue(image), tmp_path / "trace")
    names = {name for name, _ in calls}
    assert "exit_group" in names
    assert {"read", "pread64"} & names
    assert not {name for name in names if FORBIDDEN.search(name)}
    # Nothing was tried and refused either: all it needs was imported before.
    assert not [call for call in calls if call[1] in {"EPERM", "EACCES"}]


PROBES = {
    "a file": "open('/etc/passwd').read()",
    "a new file": "open('/tmp/x', 'w')",
    "a folder": "os.listdir('/')",
    "a socket": "import socket; socket.socket()",
    "a process": "os.fork()",
    "a program": "os.execv('/bin/true', ['true'])",
    "a signal to another": "os.kill(os.getppid(), 0)",
}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())
def test_what_it_has_given_up_is_refused(probe: str) -> None:
    program = f"""
import os, socket, sys
sys.path.insert(0, {default_command()[-1]!r})
from confinement import NO_CALLS, NO_FILES, confine
held = confine(memory_bytes=1 << 30, cpu_s=5)
assert {{NO_CALLS, NO_FILES}} <= set(held), held
try:
    {probe}
except PermissionError:
    sys.exit(77)
"""
    assert subprocess.run([default_command()[0], "-c", program], check=False, timeout=30).returncode == 77
