"""Dead letters, as operators read them from the topic."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts.base import Body, CodeText, Line, NoNul, Sha256, ShortText

HeaderText = Annotated[str, StringConstraints(max_length=1024), NoNul]


class DeadLetterRecorded(Body):
    """A record that could not be taken. The whole of it is in the table of the service named in `consumer`."""

    topic: ShortText
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    key: Line | None = None
    reason_code: CodeText
    reason_text: HeaderText
    consumer: ShortText
    value_sha256: Sha256
    value_size_bytes: Annotated[int, Field(ge=0)]
    value_excerpt_base64: Annotated[str, StringConstraints(max_length=5600)]
    headers: Annotated[tuple[tuple[HeaderText, HeaderText], ...], Field(max_length=32)] = ()
