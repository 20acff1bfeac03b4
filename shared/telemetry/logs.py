"""Structured logs: JSON for machines, aligned text for people."""

import logging
import sys
from typing import Final, Literal

import structlog

_REPEAT_AFTER_S: Final = 10.0


def configure_logs(*, service: str, log_format: Literal["json", "console"], log_level: str) -> None:
    """Send this process's logs, the libraries' included, to standard error, each line naming `service`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level)
    # These speak of every connection and request; what matters of them the service says itself.
    handler.addFilter(_Repeats())
    for noisy in ("aiokafka", "faststream", "uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(log_level)))
    structlog.contextvars.bind_contextvars(service=service)


def silence_logs() -> None:
    """Log nothing: a command tells what there is to tell, and its standard output is its result."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class _Repeats(logging.Filter):
    """Lets a line of the Kafka client through once in ten seconds: while a broker is away it says the same hundreds of times."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is worth a line; lines are told apart by where in the source they come from."""
        if not record.name.startswith("aiokafka"):
            return True
        place = (record.name, record.lineno)
        if record.created - self._last.get(place, 0.0) < _REPEAT_AFTER_S:
            return False
        self._last[place] = record.created
        return True


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of the module `name`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
