"""The image that `check` is given: a file, or what lies at a location, fetched for the time of the check."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote, urlsplit

from cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from services.checker.adapters.locations import LocationRefused
    from services.checker.adapters.sources.base import OnProgress, Opened, Source
    from services.checker.adapters.sources.configured import HttpsSources
    from services.checker.settings import SourceSettings

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_VERSION: Final = re.compile(r"versionId=[^&]+")
_SPOOL: Final = "/var/tmp"  # noqa: S108 - the folder for what is large (file-hierarchy(7)); the file in it has no name


@dataclass(frozen=True, slots=True)
class Image:
    """An image to check, which `open` opens, or raises `CommandError`.

    Reports call it `name`, errors `where`; `stem` is the last part of that without its suffix. `path` is that of a file.
    """

    name: str
    where: str
    stem: str
    path: Path | None
    open: Callable[[OnProgress], Awaitable[Opened]]


def image_of(given: str, allowed: Sequence[str]) -> Image:
    """Return the image that is `given` as a path, `https://…` or `s3://…`; raises `CommandError`.

    To type a host is to allow it. `allowed` names more of them, and networks that are not public.
    """
    scheme = _SCHEME.match(given)
    if allowed and (scheme is None or scheme[1].lower() != "https"):
        raise CommandError("--allow is for images at https://… alone", exit_code=ExitCode.USAGE)
    return _file(Path(given)) if scheme is None else _located(given, scheme[1].lower(), allowed)


def _file(path: Path) -> Image:
    async def opened(_: OnProgress) -> Opened:
        from services.checker.adapters.sources.base import Opened
        from shared.contracts.content_version import content_version_of

        descriptor = _open(path)
        version = content_version_of(os.fstat(descriptor))
        return Opened(descriptor, version, version, lambda: os.close(descriptor))

    return Image(path.name, str(path), path.stem, path, opened)


def _open(file: Path) -> int:
    """Open a regular file for reading; anything else is a usage error. A FIFO must not block, a device must not be touched."""
    try:
        kind = file.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a directory" if stat.S_ISDIR(kind) else "no regular file"
            _refuse(str(file), what, "name the file of a disk image")
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        _refuse(str(file), getattr(error, "strerror", None) or str(error), "check the path and its permissions")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _refuse(str(file), "it changed while it was opened", "try again")
    return descriptor


def _refuse(where: str, why: str, advice: str) -> NoReturn:
    raise CommandError("there is no disk image to check", where=where, why=why, advice=advice, exit_code=ExitCode.USAGE)


def _located(location: str, scheme: str, allowed: Sequence[str]) -> Image:
    from services.checker.adapters.sources.configured import HttpsSources
    from services.checker.adapters.sources.opening import named

    where = named(location)
    if scheme not in {"https", "s3"}:
        _refuse(where, f"nothing is fetched from {scheme}://", "name a file by its path, or an image at https://… or s3://…")
    try:
        parts = urlsplit(location)
        host = parts.netloc and f"{parts.hostname}:{parts.port or 443}"
    except ValueError as error:
        _refuse(where, str(error), "correct the address")
    settings = _settings()
    # Whether the other scheme's settings can be used is not asked.
    https = _https(settings.https_sources, host, allowed, where) if scheme == "https" else HttpsSources()
    stores = settings.s3_stores if scheme == "s3" else ()
    settings = settings.model_copy(update={"https_sources": https, "s3_stores": stores})
    source = _source(settings, scheme, where)

    async def opened(on_progress: OnProgress) -> Opened:
        from services.checker.adapters.locations import LocationRefused
        from services.checker.adapters.sources.base import Wanted

        try:
            return await source.open(Wanted(location, None, on_progress=on_progress))
        except LocationRefused as error:
            raise _not_fetched(error, where, settings.spool) from error

    version = f"?{parts.query}" if scheme == "s3" and _VERSION.fullmatch(parts.query) else ""
    return Image(f"{where}{version}", where, PurePosixPath(unquote(parts.path)).stem, None, opened)


def _settings() -> SourceSettings:
    """Return the environment's settings of sources, a spool among them in any case."""
    from services.checker.settings import SourceSettings
    from shared.settings import SettingsError

    try:
        settings = SourceSettings.from_environment()
    except SettingsError as error:
        raise CommandError(str(error), exit_code=ExitCode.USAGE) from error
    return settings.model_copy(update={"spool": settings.spool or Path(os.environ.get("TMPDIR") or _SPOOL)})


def _https(known: HttpsSources, host: str, allowed: Sequence[str], where: str) -> HttpsSources:
    """Return what is `known` with `host`, and what is `allowed` beside it."""
    from pydantic import ValidationError

    try:
        known = _allowing(known, hosts=[host])
    except ValidationError:
        _refuse(where, "images are fetched from a host with a name, or an IPv4 address", "correct the address")
    for text in allowed:
        try:
            known = _allowing(known, *_hosts_and_networks(text))
        except ValidationError as error:
            raise CommandError(
                "--allow takes a host or a network",
                where=text,
                advice="write it as mirror.example.org, .example.org (all beneath it), or 10.20.0.0/16",
                exit_code=ExitCode.USAGE,
            ) from error
    return known


def _allowing(known: HttpsSources, hosts: Sequence[str] = (), networks: Sequence[IPv4Network | IPv6Network] = ()) -> HttpsSources:
    """Return what is `known` with these; raises `ValidationError`."""
    from services.checker.adapters.sources.configured import HttpsSources

    return HttpsSources(hosts=(*known.hosts, *hosts), networks=(*known.networks, *networks), ca_file=known.ca_file)


def _hosts_and_networks(text: str) -> tuple[list[str], list[IPv4Network | IPv6Network]]:
    """Return `text` as the one or the other; one IPv4 address is both."""
    try:
        network = ip_network(text)
    except ValueError:
        return [text.lower()], []
    return [text] if isinstance(network, IPv4Network) and "/" not in text else [], [network]


def _source(settings: SourceSettings, scheme: str, where: str) -> Source:
    from services.checker.sources import sources_of
    from shared.settings import SettingsError
    from shared.telemetry.logs import silence_logs

    silence_logs()
    try:
        sources = sources_of(settings)
    except SettingsError as error:
        raise CommandError("images cannot be fetched", why=str(error), exit_code=ExitCode.USAGE) from error
    if scheme not in sources:
        _refuse(where, "no object store is known", "name it in IMAGE_COMMONS_S3_STORES (docs/sources.md)")
    return sources[scheme]


def _not_fetched(error: LocationRefused, where: str, spool: Path | None) -> CommandError:
    """Return what the vendor of an image would be told, with what the operator of a checker would do."""
    from services.checker.adapters.sources.answers import CertificateRefused
    from services.checker.adapters.sources.base import ContentChanged
    from services.checker.adapters.sources.https import HostRefused
    from services.checker.adapters.sources.network import AddressRefused
    from services.checker.adapters.sources.s3 import StoreRefused
    from services.checker.adapters.sources.spool import NoRoom, TooLarge

    why, advice, code = f"{error.why} ({error.detail})" if error.detail else error.why, error.advice, ExitCode.USAGE
    if isinstance(error, ContentChanged):
        why, advice, code = "it changed while it was fetched", "try again", ExitCode.UNDETERMINED
    elif isinstance(error, (AddressRefused, HostRefused)):
        advice = f"if it is meant: {' '.join(f'--allow {each}' for each in error.detail.split(', '))}"
    elif isinstance(error, NoRoom):
        advice = f"make room in {spool}, or name another folder in IMAGE_COMMONS_SPOOL"
    elif isinstance(error, TooLarge):
        advice = "raise IMAGE_COMMONS_SPOOL_IMAGE_BYTES_MAX"
    elif isinstance(error, CertificateRefused):
        advice = "name the authority that vouches for it as ca_file in the settings (docs/sources.md)"
    elif isinstance(error, StoreRefused):
        advice = "correct the location, or the store in IMAGE_COMMONS_S3_STORES (docs/sources.md)"
    return CommandError("the image cannot be fetched", where=where, why=why, advice=advice or None, exit_code=code)
