"""Every metric of every service, in one place: name, meaning, labels. Instrumented per batch, never per record."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_BATCH_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

RECORDS_CONSUMED: Final = Counter(
    "image_commons_records_consumed", "Records committed, by what became of them.", ["topic", "outcome"]
)
"""outcome: applied, duplicate, stale, dead, parked."""

BATCH_SECONDS: Final = Histogram(
    "image_commons_batch_seconds", "From a batch's arrival to its commit.", ["topic"], buckets=_BATCH_SECONDS
)
BATCH_RETRIES: Final = Counter("image_commons_batch_retries", "Batches tried again, by the kind of fault.", ["topic", "fault"])
DEAD_LETTERS: Final = Counter("image_commons_dead_letters", "Records kept as dead letters.", ["topic", "reason"])
CONSUMER_HALTED: Final = Gauge("image_commons_consumer_halted", "1 while a consumer refuses to go on.", ["topic"])
CONSUMER_PROGRESS_SECONDS: Final = Gauge(
    "image_commons_loop_progress_timestamp_seconds", "Unix time of a loop's last turn.", ["loop"]
)
RELAY_SENT: Final = Counter("image_commons_relay_sent", "Events the broker acknowledged.")
RELAY_FAILURES: Final = Counter("image_commons_relay_failures", "Relay steps that failed and were tried again.")
RELAY_LEADER: Final = Gauge("image_commons_relay_leader", "1 where this process relays its service's outbox.")
OUTBOX_BACKLOG: Final = Gauge("image_commons_outbox_backlog", "Unsent events, as last counted.")
OUTBOX_AGE_SECONDS: Final = Gauge("image_commons_outbox_age_seconds", "Age of the oldest unsent event.")
TIMERS_DONE: Final = Counter("image_commons_timers_done", "Timers that came due and were worked off.", ["kind"])
PARKED: Final = Gauge("image_commons_parked_requests", "Requests waiting for facts they overtook.")
CHECK_QUEUE_DEPTH: Final = Gauge("image_commons_check_queue_depth", "Checks waiting for a worker.")
CHECK_QUEUE_AGE_SECONDS: Final = Gauge("image_commons_check_queue_age_seconds", "Age of the oldest waiting check.")
DATABASE_AGE_SECONDS: Final = Gauge(
    "image_commons_database_age_seconds", "Age of a loaded database, by the date that it states.", ["database", "purpose"]
)
DATABASES_MISSING: Final = Gauge(
    "image_commons_databases_missing", "1 while checks wait for a database that the policy asks for."
)
CHECK_SECONDS: Final = Histogram(
    "image_commons_check_seconds",
    "Time of one check, from claim to report.",
    ["outcome"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
