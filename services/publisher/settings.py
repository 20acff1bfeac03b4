"""Settings of publisher."""

from pydantic import Field

from shared.settings import CommonSettings, Port, Seconds


class PublisherSettings(CommonSettings):
    """What publisher needs to know beside what all services do."""

    http_port: Port = Field(default=8081, description="Port of publisher's HTTP queries; 0 leaves HTTP out.")
    policy: str = Field(
        default="gate", min_length=1, description="The policy: the name of one that ships (gate, inspect), or a policy file."
    )
    check_deadline_s: Seconds = Field(
        default=86_400, description="How long a publication waits for its image's check before it is refused, retryable."
    )
    check_silence_s: Seconds = Field(
        default=300, description="How long without a word about a check before its job is sent again, under the same id."
    )
