"""Which partition a key belongs to, as every Kafka client decides it."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from shared.contracts.topics import PARTITIONS


@lru_cache(maxsize=65_536)
def partition_of(key: str) -> int:
    """Return the partition of `key` (Kafka's default partitioner: murmur2, sign bit cleared, modulo the partition count).

    Cached because the library's murmur2 is Python, and keys come in runs.
    """
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS)
