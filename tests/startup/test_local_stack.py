"""The local stack: several side by side, nothing left behind, one supervisor for a folder."""

import os
from pathlib import Path

import pytest

from stack import LocalStack, StackError, folder_lock
from tests.stack.processes import descendants, wait_until_gone


async def test_two_side_by_side_and_nothing_left(folder: Path) -> None:
    mine = os.getpid()
    before = descendants(mine)
    async with (
        LocalStack(folder / "a", fast=True, keep=False) as one,
        LocalStack(folder / "b", fast=True, keep=False) as other,
    ):
        assert not set(one.environment().values()) & set(other.environment().values())
        assert all((await one.answers()).values())
        assert all((await other.answers()).values())
        started = descendants(mine) - before
        assert {one.kafka_pid, one.postgres_pid, other.kafka_pid, other.postgres_pid} <= {pid for pid, _ in started}
    wait_until_gone(started)
    assert list(folder.iterdir()) == []


async def test_a_folder_has_one_supervisor(folder: Path) -> None:
    async with LocalStack(folder, fast=True) as stack:
        assert folder_lock.is_held(folder)
        with pytest.raises(StackError, match="another stack runs in"):
            await LocalStack(folder, fast=True).__aenter__()
        assert all((await stack.answers()).values())
    assert not folder_lock.is_held(folder)
