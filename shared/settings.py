"""Settings that every service has; each reads the environment (prefix `IMAGE_COMMONS_`) once, at start."""

import hmac
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

ENVIRONMENT_PREFIX = "IMAGE_COMMONS_"
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400 * 30)]


class SettingsError(Exception):
    """The environment does not describe a service that could run; the text names every variable at fault."""


class Settings(BaseSettings):
    """What is read from the environment."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="ignore", populate_by_name=True, frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment; raises `SettingsError` that names each bad variable and what is wrong with it."""
        try:
            return cls()
        except ValidationError as error:
            lines = [
                f"  {_variable(cls, item['loc'])}: {item['msg']}" for item in error.errors(include_url=False, include_input=False)
            ]
            message = "\n".join(["These settings are not usable; correct them and start again:", *lines])
            raise SettingsError(message) from error


class CommonSettings(Settings):
    """What all services need to know of the place they run in."""

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS", "IMAGE_COMMONS_KAFKA_BOOTSTRAP_SERVERS"),
        description="Kafka's addresses, host:port, comma-separated.",
    )
    postgres_dsn: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/postgres"),
        validation_alias=AliasChoices("POSTGRES_DSN", "IMAGE_COMMONS_POSTGRES_DSN"),
        description="PostgreSQL as the administrator sees it; a service takes host and port from it, never its user.",
    )
    postgres_password_file: Path | None = Field(default=None, description="File that holds the administrator's password.")
    database_prefix: str = Field(
        default="image_commons_", pattern=r"^[a-z][a-z0-9_]{0,40}$", description="Before each service's database and role."
    )
    database_password: SecretStr | None = Field(default=None, description="Password of the services' roles.")
    database_password_file: Path | None = Field(default=None, description="File that holds that password.")
    database_connections_max: int = Field(default=10, ge=4, le=200, description="Connections one process opens.")
    topic_prefix: str = Field(
        default="imagecommons.", pattern=r"^[a-z0-9][a-z0-9._-]{0,60}$", description="Before each topic and group name."
    )
    http_host: str = Field(default="127.0.0.1", description="Address the HTTP queries listen on; there are no tokens yet.")
    batch_records_max: int = Field(default=500, ge=1, le=5000, description="Records handled in one transaction.")
    consumer_session_s: Seconds = Field(
        default=10, description="How long a dead process keeps its partitions; the broker allows no less than its own least."
    )
    drain_timeout_s: Seconds = Field(default=30, description="How long a stopping service may finish what it has begun.")
    outbox_backlog_max: int = Field(default=50_000, ge=1, description="Unsent events beyond which the service is not ready.")
    stalled_after_s: Seconds = Field(default=120, description="No progress of a loop for this long: not alive.")
    handler_failed_share_max: float = Field(
        default=0.1, gt=0, le=1, description="Share of recent records failing by our own fault that stops a consumer."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="Log lines for machines or for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")

    def service_dsn(self, service: str) -> str:
        """Return the DSN of `service`'s own database and role; raises `SettingsError` if a password file cannot be read."""
        name, password = f"{self.database_prefix}{service}", self.role_password(service)
        user = quote(name, safe="") if password is None else f"{quote(name, safe='')}:{quote(password, safe='')}"
        parts = urlsplit(self.postgres_dsn.get_secret_value())
        return urlunsplit((parts.scheme, f"{user}@{parts.netloc.rpartition('@')[2]}", f"/{name}", parts.query, ""))

    def admin_dsn(self) -> str:
        """Return the administrator's DSN, with the password of the file if one is named; raises `SettingsError`."""
        dsn = self.postgres_dsn.get_secret_value()
        if self.postgres_password_file is None:
            return dsn
        password = _read_secret("POSTGRES_PASSWORD_FILE", self.postgres_password_file)
        parts = urlsplit(dsn)
        user = parts.netloc.rpartition("@")[0].partition(":")[0] or "postgres"
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, f"{user}:{quote(password, safe='')}@{host}", parts.path, parts.query, ""))

    def role_password(self, service: str) -> str | None:
        """Return the password of `service`'s role; raises `SettingsError` if its file cannot be read.

        Where none is set it is derived from the administrator's, so that a local stack needs one secret; a server that asks
        nobody for a password needs none.
        """
        if self.database_password is not None:
            return self.database_password.get_secret_value()
        if self.database_password_file is not None:
            return _read_secret("DATABASE_PASSWORD_FILE", self.database_password_file)
        admin = urlsplit(self.postgres_dsn.get_secret_value()).password
        if admin is None:
            return None
        return hmac.new(unquote(admin).encode(), f"image-commons/{self.database_prefix}{service}".encode(), "sha256").hexdigest()


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{ENVIRONMENT_PREFIX}{name}: {getattr(error, 'strerror', None) or error}: {path}"
        raise SettingsError(message) from error


def _variable(settings: type[Settings], location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "?"
    if name in settings.model_fields:
        return (ENVIRONMENT_PREFIX + name).upper()
    return name
