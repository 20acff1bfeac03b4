"""Settings of the launcher."""

from pydantic import Field

from shared.settings import CommonSettings, Port


class LauncherSettings(CommonSettings):
    """What the launcher needs to know beside what all services do."""

    http_port: Port = Field(default=8084, description="Port of the launcher's HTTP queries; 0 leaves HTTP out.")
