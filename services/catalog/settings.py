"""Settings of the catalog."""

from pydantic import Field

from shared.settings import CommonSettings, Port


class CatalogSettings(CommonSettings):
    """What the catalog needs to know beside what all services do."""

    http_port: Port = Field(default=8083, description="Port of the catalog's HTTP queries; 0 leaves HTTP out.")
