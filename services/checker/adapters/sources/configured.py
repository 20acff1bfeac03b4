"""What an operator says of sources beside folders: object stores and https hosts, as data."""

import re
from configparser import ConfigParser
from configparser import Error as ConfigError
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HOST: Final = re.compile(r"\.?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?")


class CredentialsUnusable(Exception):
    """The credentials of a store cannot be read; the text is for the operator and holds none of them."""


class _Configured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Credentials(_Configured):
    """An access key, as the S3 protocol names its parts."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None = None


class S3Store(_Configured):
    """An object store that speaks the S3 protocol."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    endpoint: str
    """`https://host[:port]`; `http://` only where `allow_http` says that this is meant."""
    buckets: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]
    """`bucket`, or `bucket/prefix/` for what begins so. A bucket that no store names is refused."""
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")] = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    """Whether the bucket stands in the path or before the host."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    credentials_file: Path | None = None
    """The ini file that the AWS command line knows too; read for every request, so that it may be replaced at any time."""
    profile: str = "default"
    ca_file: Path | None = None
    allow_http: bool = False

    @field_validator("endpoint")
    @classmethod
    def _is_origin(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or "@" in parts.netloc
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
        ):
            message = "an address such as https://s3.example.com, with no user, path or query"
            raise ValueError(message)
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("buckets")
    @classmethod
    def _are_buckets(cls, buckets: tuple[str, ...]) -> tuple[str, ...]:
        for bucket in buckets:
            name = bucket.partition("/")[0]
            if BUCKET.fullmatch(name) is None or ".." in name:
                message = "a bucket's name has 3 to 63 of a-z, 0-9, '-' and '.'; a prefix follows after '/'"
                raise ValueError(message)
        return buckets

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.endpoint.startswith("http:") and not self.allow_http:
            message = "an endpoint without TLS needs allow_http: true"
            raise ValueError(message)
        if (self.access_key_id is None) != (self.secret_access_key is None):
            message = "access_key_id and secret_access_key go together"
            raise ValueError(message)
        if self.credentials_file is not None and self.access_key_id is not None:
            message = "either credentials_file or access_key_id, not both"
            raise ValueError(message)
        return self

    def credentials(self) -> Credentials | None:
        """Return the credentials as they are now, None where requests are not signed; raises `CredentialsUnusable`."""
        if self.access_key_id is not None and self.secret_access_key is not None:
            return Credentials(access_key_id=self.access_key_id, secret_access_key=self.secret_access_key)
        if self.credentials_file is None:
            return None
        # Interpolation would take a '%' in a secret for its own.
        parser = ConfigParser(interpolation=None)
        try:
            parser.read_string(self.credentials_file.read_text())
            found = parser[self.profile]
            return Credentials(
                access_key_id=found["aws_access_key_id"],
                secret_access_key=SecretStr(found["aws_secret_access_key"]),
                session_token=SecretStr(found["aws_session_token"]) if "aws_session_token" in found else None,
            )
        except (OSError, UnicodeDecodeError) as error:
            message = f"{self.credentials_file}: {getattr(error, 'strerror', None) or 'no text'}"
            raise CredentialsUnusable(message) from None
        except (ConfigError, KeyError):
            # What these say of the file may be a line of it.
            message = f"{self.credentials_file}: no [{self.profile}] with aws_access_key_id and aws_secret_access_key"
            raise CredentialsUnusable(message) from None


class HttpsSources(_Configured):
    """The hosts whose files are fetched by https."""

    hosts: tuple[str, ...] = ()
    """`images.example.com`, `.example.com` for every host beneath it, `images.example.com:8443` for another port than 443."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that are not public and may be connected to all the same."""
    ca_file: Path | None = None
    """Certificates that sign those of the hosts; by default those that the system trusts."""

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if _HOST.fullmatch(host) is None:
                message = "hosts are written in lower case, without a scheme or a path: images.example.com, .example.com"
                raise ValueError(message)
        return hosts

    def allows(self, host: str, port: int) -> bool:
        """Whether files may be fetched from `host`, in lower case, at `port`."""
        for allowed in self.hosts:
            name, _, number = allowed.partition(":")
            if port == int(number or 443) and (host == name or (name.startswith(".") and host.endswith(name))):
                return True
        return False


def check_stores(stores: tuple[S3Store, ...]) -> None:
    """Refuse stores between which a location could not choose; raises `ValueError`."""
    owners: dict[str, str] = {}
    for store in stores:
        for bucket in {entry.partition("/")[0] for entry in store.buckets}:
            if bucket in owners:
                message = f"bucket {bucket} is in the stores {owners[bucket]} and {store.name}; a location could mean either"
                raise ValueError(message)
            owners[bucket] = store.name
