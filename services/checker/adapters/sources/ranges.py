"""Fetching an object: looked at first, then read in parts side by side into the spool, all of the content that the look found."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final

from services.checker.adapters.locations import LocationRefused
from services.checker.adapters.sources.answers import (
    EMPTY,
    NO_LENGTH,
    OTHER_CONTENT,
    PARTIAL,
    STRONG_TAG,
    FetchLimits,
    Origin,
    asked,
    blocks,
    length_of,
    range_of,
    tried,
)
from services.checker.adapters.sources.base import ContentChanged, OnProgress, Opened, Wanted
from services.checker.adapters.sources.spool import Spool, SpoolFile
from shared.contracts.base import SIZE_BYTES_MAX
from shared.contracts.content_version import content_version_of

_FIRST_BYTE: Final = (0, 0)
Connect = Callable[[], AbstractAsyncContextManager[Origin]]
"""Returns an origin on connections of its own, closed at the context's end."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object at the first look. `etag` as its header has it, None without a strong one; `ranged`: parts can be asked for."""

    size_bytes: int
    etag: str | None
    ranged: bool
    headers: Mapping[str, str]


def quoted(etag: str) -> str:
    """Return a stated entity tag as the header has it, with or without its quotes given; raises `LocationRefused`."""
    tag = etag if etag.startswith('"') else f'"{etag}"'
    if STRONG_TAG.fullmatch(tag) is None:
        message = (
            "the content version is no strong entity tag (ETag): state the one that the server gives, or the content's sha256:…"
        )
        raise LocationRefused(message)
    return tag


async def look(origin: Origin, etag: str | None, limits: FetchLimits) -> Found:
    """Ask for the first byte of the content that `etag` names; raises `ContentChanged`, `LocationRefused`."""

    async def once() -> Found:
        async with asked(origin, etag, _FIRST_BYTE, limits) as answer:
            size_bytes = range_of(answer)[2] if answer.status == PARTIAL else length_of(answer)
            if size_bytes is None or size_bytes > SIZE_BYTES_MAX:
                raise LocationRefused(NO_LENGTH)
            if size_bytes == 0:
                raise LocationRefused(EMPTY)
            tag = answer.headers.get("etag", "")
            return Found(size_bytes, tag if STRONG_TAG.fullmatch(tag) else None, answer.status == PARTIAL, answer.headers)

    return await tried(once, limits)


class _Transfer:
    """One object on its way into one file."""

    def __init__(self, origin: Origin, found: Found, file: SpoolFile, limits: FetchLimits, on_progress: OnProgress) -> None:
        self._origin, self._found, self._file, self._limits = origin, found, file, limits
        self._on_progress, self._done_bytes = on_progress, 0

    async def run(self) -> None:
        if not self._found.ranged:
            await tried(self._whole, self._limits)
            return
        starts = iter(range(0, self._found.size_bytes, self._limits.part_bytes))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._limits.connections):
                    group.create_task(self._parts(starts))
        except ExceptionGroup as failed:
            # The others were cancelled when the first one failed.
            raise failed.exceptions[0] from None

    async def _parts(self, starts: Iterator[int]) -> None:
        for start in starts:
            await self._part(start, min(start + self._limits.part_bytes, self._found.size_bytes) - 1)

    async def _part(self, position: int, last: int) -> None:
        async def once() -> None:
            nonlocal position
            # What came before it broke off stays: only the rest is asked for.
            async with asked(self._origin, self._found.etag, (position, last), self._limits) as answer:
                if answer.status != PARTIAL or range_of(answer)[2] != self._found.size_bytes:
                    raise ContentChanged(OTHER_CONTENT)
                async for block in blocks(answer, last - position + 1, self._limits):
                    await self._write(position, block)
                    position += len(block)

        await tried(once, self._limits)

    async def _whole(self) -> None:
        self._file.empty()
        self._done_bytes = position = 0
        async with asked(self._origin, self._found.etag, None, self._limits) as answer:
            if length_of(answer) != self._found.size_bytes:
                raise ContentChanged(OTHER_CONTENT)
            async for block in blocks(answer, self._found.size_bytes, self._limits):
                await self._write(position, block)
                position += len(block)

    async def _write(self, position: int, block: bytes) -> None:
        await asyncio.to_thread(self._file.write, position, block)
        self._done_bytes += len(block)
        self._on_progress("fetch", self._done_bytes, self._found.size_bytes)


async def fetch(
    connect: Connect,
    wanted: Wanted,
    *,
    etag: str | None,
    version_of: Callable[[Found], str | None],
    spool: Spool,
    limits: FetchLimits,
) -> Opened:
    """Fetch what `connect` leads to, of the content that `etag` names if it is given; `version_of` says which one was found."""
    async with connect() as origin:
        found = await look(origin, etag, limits)
        version = version_of(found)
        if wanted.content_version is None and found.etag is None:
            # Nothing says that two parts are of the same content; one answer is.
            found = replace(found, ranged=False)
        wanted.on_progress("fetch", 0, found.size_bytes)
        file = await spool.make(found.size_bytes)
        try:
            await _Transfer(origin, found, file, limits, wanted.on_progress).run()
            file.only_readable()
        except BaseException:
            file.close()
            raise

    async def recheck() -> None:
        async with connect() as origin:
            now = await look(origin, found.etag, limits)
        if (now.size_bytes, now.etag, version_of(now)) != (found.size_bytes, found.etag, version):
            raise ContentChanged(OTHER_CONTENT)

    return Opened(file.descriptor, version, content_version_of(os.fstat(file.descriptor)), file.close, recheck)
