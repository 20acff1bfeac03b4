"""``topics apply``: the one-shot job that makes the topics."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.connection import endpoints
from cli.errors import CommandError
from cli.options import Json, Kafka
from cli.output import Output

app = typer.Typer(help="Topics of the platform (one-shot job).")


@app.callback()
def _group() -> None:
    """Topics of the platform."""


@app.command("apply")
def apply(
    kafka: Kafka = None,
    as_json: Json = False,
    replication: Annotated[
        int, typer.Option(min=1, max=9, envvar="IMAGE_COMMONS_REPLICATION", help="Copies of each partition; 3 for three brokers.")
    ] = 1,
) -> None:
    """Make every topic with its settings; correct those that are there. Safe to run twice, and twice at once.

    Example:
      image-commons topics apply --replication 3
    """
    from aiokafka.errors import KafkaError

    from shared.messaging.topics_job import TopicsError, apply_topics

    where, lines = endpoints(kafka), list[str]()
    try:
        asyncio.run(apply_topics(where.kafka, prefix=where.topic_prefix, replication=replication, tell=lines.append))
    except TopicsError as error:
        raise CommandError("the topics are not as they must be", where=where.kafka, why=str(error)) from error
    except (KafkaError, OSError) as error:
        advice = "start a local one with `image-commons stack up`, or name yours with --kafka or KAFKA_BOOTSTRAP_SERVERS"
        raise CommandError(
            "Kafka cannot be reached", where=f"{where.kafka} ({where.found})", why=str(error), advice=advice
        ) from error
    Output(as_json=as_json).document({"topics": lines}, lambda: "\n".join(lines))
