-- what every service's database needs: offsets, inbox, outbox, sequences, dead letters, timers, parked requests
-- depends:

-- migrate: apply

-- Where this service stands in each partition. The row is the fence: a batch is applied only if it starts at next_offset.
CREATE TABLE consumer_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    PRIMARY KEY (topic, partition)
);

-- Identities already dealt with. `identity` is 16 bytes of (ce_source, ce_id), ordered by time for UUIDv7 ids, so inserts stay
-- at the right edge of the index; `content` tells a duplicate from a used identity with other bytes.
CREATE TABLE inbox (
    identity bytea NOT NULL PRIMARY KEY,
    content bytea NOT NULL,
    status "char" NOT NULL DEFAULT 'd' CHECK (status IN ('d', 'x')),
    received_at timestamptz NOT NULL DEFAULT transaction_timestamp()
);
CREATE INDEX inbox_received_at ON inbox USING brin (received_at);

-- The newest sequence held of each key, and whether a record of it could not be read (fail closed: hidden until mended).
-- `held_before` lets one upsert both take the lock and return what was held. The key comes first in the index because it is what
-- tells rows apart: each comparison ends there.
CREATE TABLE reader_keys (
    topic text NOT NULL,
    key text NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    held_before bigint,
    unclear boolean NOT NULL DEFAULT false,
    unclear_sequence bigint,
    PRIMARY KEY (key, topic, source)
) WITH (fillfactor = 80);
CREATE INDEX reader_keys_unclear ON reader_keys (topic, key) WHERE unclear;

-- Events decided on and not yet acknowledged by the broker. One relay leader sends them in id order and deletes them.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    headers text NOT NULL,
    value bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT transaction_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

-- The sequence last given to an event of a key, never deleted. Its row lock orders the outbox per key.
CREATE TABLE key_sequences (
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (key, topic)
) WITH (fillfactor = 80);

-- Records that could not be taken, whole, where an operator finds them.
CREATE TABLE dead_letters (
    id uuid NOT NULL PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    source text,
    event_id text,
    type text,
    sequence bigint,
    reason_code text NOT NULL,
    reason_text text NOT NULL,
    consumer text NOT NULL,
    headers jsonb NOT NULL,
    value bytea,
    value_size_bytes integer NOT NULL,
    value_sha256 text NOT NULL,
    recorded_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    UNIQUE (topic, partition, "offset")
);
CREATE INDEX dead_letters_created_at ON dead_letters (created_at);

-- Work due at a time of the database's clock; one row a kind and key.
CREATE TABLE timers (
    kind text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    payload jsonb NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX timers_due_at ON timers (due_at);

-- Requests that overtook the facts they need, in arrival order per key.
CREATE TABLE parked_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key text NOT NULL,
    headers jsonb NOT NULL,
    value bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    not_before timestamptz NOT NULL,
    needs jsonb NOT NULL,
    UNIQUE (topic, partition, "offset")
);
CREATE INDEX parked_requests_key ON parked_requests (topic, key, id);

-- One row that proves the database takes writes, before a record is blamed for a failure.
CREATE TABLE write_probe (
    id boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (id),
    probed_at timestamptz NOT NULL
);

-- migrate: rollback
DROP TABLE write_probe, parked_requests, timers, dead_letters, key_sequences, outbox, reader_keys, inbox, consumer_offsets;
