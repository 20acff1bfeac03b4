"""`image-commons stack`: two starts at once, the variables for a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def stack(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "stack", *arguments, "--dir", str(folder)],
        cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(240)
def test_two_starts_at_once_are_one_stack_that_a_shell_can_name(folder: Path) -> None:
    try:
        both = [stack("up", folder=folder) for _ in range(2)]
        said = [process.communicate(timeout=200) for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        one, other = (json.loads(out) for out, _ in said)
        assert one == other
        shell = f'eval "$({sys.executable} -m cli stack env --dir {folder})" && echo "$KAFKA_BOOTSTRAP_SERVERS" "$POSTGRES_DSN"'
        named = subprocess.run(["bash", "-c", shell], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
        assert named.stdout.split() == [one["KAFKA_BOOTSTRAP_SERVERS"], one["POSTGRES_DSN"]]
    finally:
        ended = stack("down", folder=folder)
        ended.communicate(timeout=60)
    assert ended.returncode == 0
    nothing = stack("env", folder=folder)
    out, error = nothing.communicate(timeout=60)
    assert (nothing.returncode, out) == (1, "")
    assert "image-commons stack up" in error
