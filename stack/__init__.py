"""A real Kafka and a real PostgreSQL on this machine, without Docker."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stack.local import LocalStack, StackError

__all__ = ["LocalStack", "StackError"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    """Load the implementation when it is first asked for: the command line's help does without it."""
    if name in __all__:
        from stack import local  # noqa: PLC0415

        return getattr(local, name)
    raise AttributeError(name)
