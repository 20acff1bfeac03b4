"""Kafka and PostgreSQL in containers, where a Docker engine answers."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

_PORT = 9092
_START = "/tmp/start.sh"


class KafkaContainer(DockerContainer):
    """`apache/kafka` on one node. Its address is known only once the port is mapped, so its start script is written then."""

    def __init__(self, image: str = "apache/kafka:4.3.1") -> None:
        super().__init__(image)
        self.with_exposed_ports(_PORT)
        self.with_command(["sh", "-c", f"while [ ! -f {_START} ]; do sleep 0.1; done; sh {_START}"])

    def address(self) -> str:
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(_PORT)}"

    def start(self) -> "KafkaContainer":
        super().start()
        script = textwrap.dedent(f"""\
            export KAFKA_NODE_ID=1 KAFKA_PROCESS_ROLES=broker,controller
            export KAFKA_LISTENERS=OUT://:{_PORT},CONTROLLER://:9093 KAFKA_ADVERTISED_LISTENERS=OUT://{self.address()}
            export KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=OUT:PLAINTEXT,CONTROLLER:PLAINTEXT
            export KAFKA_INTER_BROKER_LISTENER_NAME=OUT KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER
            export KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093 KAFKA_AUTO_CREATE_TOPICS_ENABLE=false
            export KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0
            exec /etc/kafka/docker/run
            """)
        self.copy_into_container(script.encode(), _START)
        self.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
        self._wait_strategy.wait_until_ready(self)
        return self


@contextmanager
def containers() -> Iterator[dict[str, str]]:
    postgres_container = PostgresContainer("postgres:17", username="postgres", dbname="postgres", driver=None)
    with KafkaContainer() as kafka, postgres_container as postgres:
        yield {"KAFKA_BOOTSTRAP_SERVERS": kafka.address(), "POSTGRES_DSN": postgres.get_connection_url()}
