"""The sources of images that the settings name, by scheme."""

from services.checker.adapters.sources.base import Source
from services.checker.adapters.sources.https import HttpsSource
from services.checker.adapters.sources.opening import FileSource
from services.checker.adapters.sources.s3 import S3Source
from services.checker.adapters.sources.spool import Spool
from services.checker.settings import SourceSettings
from shared.settings import SettingsError


def sources_of(settings: SourceSettings) -> dict[str, Source]:
    """Return them; raises `SettingsError` if the spool or a file of certificates cannot be used."""
    sources: dict[str, Source] = {"file": FileSource(settings.image_roots)}
    if settings.spool is None:
        return sources
    spool = Spool(settings.spool, image_bytes_max=settings.spool_image_bytes_max, bytes_max=settings.spool_bytes_max)
    try:
        spool.probe()
    except OSError as error:
        message = f"IMAGE_COMMONS_SPOOL: {error.strerror}: {settings.spool}"
        raise SettingsError(message) from error
    if settings.s3_stores:
        try:
            sources["s3"] = S3Source(settings.s3_stores, spool)
        except OSError as error:
            message = f"IMAGE_COMMONS_S3_STORES: a ca_file cannot be used: {error.strerror or error}"
            raise SettingsError(message) from error
    if settings.https_sources.hosts:
        try:
            sources["https"] = HttpsSource(settings.https_sources, spool)
        except OSError as error:
            message = f"IMAGE_COMMONS_HTTPS_SOURCES: ca_file cannot be used: {error.strerror or error}"
            raise SettingsError(message) from error
    return sources
