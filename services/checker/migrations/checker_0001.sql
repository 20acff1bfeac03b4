-- checks: jobs with leases, and the reports they gave
-- depends: plumbing_0001

-- migrate: apply

-- A job, or the tombstone of one that was cancelled before it came. `claim_number` is the fence: whoever renews, progresses or
-- completes names the number of its claim, and does nothing if it is not the current one.
CREATE TABLE check_jobs (
    check_id text NOT NULL PRIMARY KEY,
    image_id text NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'completed', 'cancelled')),
    request jsonb,
    correlation_id text,
    traceparent text,
    claim_number integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    result_sequence bigint NOT NULL DEFAULT 0,
    phase text,
    done bigint,
    total bigint,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX check_jobs_waiting ON check_jobs (created_at) WHERE state = 'waiting';
CREATE INDEX check_jobs_running ON check_jobs (lease_until) WHERE state = 'running';

-- The exact bytes that are served; `sha256` is theirs.
CREATE TABLE reports (
    report_id text NOT NULL PRIMARY KEY,
    check_id text NOT NULL REFERENCES check_jobs,
    image_digest text NOT NULL,
    sha256 text NOT NULL,
    document bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX reports_digest ON reports (image_digest, created_at DESC);

-- migrate: rollback
DROP TABLE reports, check_jobs;
