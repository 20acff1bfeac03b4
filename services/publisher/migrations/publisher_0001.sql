-- what publisher owns: accounts' standing, images with their shares, publications with their history, client tokens
-- depends: plumbing_0001

-- migrate: apply

-- Accounts as the account service stated them last, with the permission that operators granted. Rows are never deleted.
CREATE TABLE accounts (
    account_id text NOT NULL PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('active', 'closed', 'blocked')),
    enterprise_verified boolean NOT NULL,
    display_name text,
    permission_state text CHECK (permission_state IN ('granted', 'suspended', 'revoked')),
    permission_ticket text,
    permission_since timestamptz,
    CHECK ((permission_state IS NULL) = (permission_ticket IS NULL)),
    CHECK ((permission_state IS NULL) = (permission_since IS NULL))
) WITH (fillfactor = 90);

-- Images as upstream stated them last, and what was decided about them. One row holds the whole aggregate, shares included: its
-- lock is the image's lock, and what is read under it is never a mix of two moments. Rows are never deleted, deleted images' neither.
CREATE TABLE images (
    image_id text NOT NULL PRIMARY KEY,
    region text NOT NULL,
    owner_account_id text NOT NULL,
    name text NOT NULL,
    description text,
    family text,
    status text NOT NULL
        CHECK (status IN ('Creating', 'Waiting', 'Available', 'UnAvailable', 'CreateFailed', 'Deprecated', 'Deleted')),
    encrypted boolean NOT NULL,
    location text NOT NULL,
    content_version text NOT NULL,
    format text,
    size_bytes bigint,
    created_at timestamptz NOT NULL,
    derived_from text,
    root_product jsonb,
    claims jsonb,
    -- Whether a registration was seen: shares from before this system are taken from the first one alone.
    registered boolean NOT NULL,
    shared_with text[] NOT NULL DEFAULT '{}' CHECK (cardinality(shared_with) <= 50),
    -- What the last passed check detected, of the present content.
    tags jsonb NOT NULL DEFAULT '{}',
    checked jsonb,
    deprecated_at timestamptz,
    taken_down_at timestamptz,
    taken_down_reason text,
    -- The live publication, else the latest that reached checking.
    publication_id text,
    CHECK ((taken_down_at IS NULL) = (taken_down_reason IS NULL))
) WITH (fillfactor = 80);

-- Every attempt to publish, refused ones too. name, description, change_notes and family are those others see while it is published.
CREATE TABLE publications (
    publication_id text NOT NULL PRIMARY KEY,
    image_id text NOT NULL REFERENCES images,
    region text NOT NULL,
    account_id text NOT NULL,
    state text NOT NULL
        CHECK (state IN ('rejected', 'checking', 'check_failed', 'withdrawn', 'published', 'unpublished', 'taken_down')),
    since timestamptz NOT NULL,
    reason text,
    name text NOT NULL,
    description text,
    change_notes jsonb,
    family text,
    request_id text NOT NULL,
    requested_at timestamptz NOT NULL,
    -- Of the publish request, so that its repeats get the answer too.
    client_token text,
    -- The check's job: what was to be checked, by when, and the sequence of the last job event sent.
    check_id text UNIQUE,
    check_sequence bigint NOT NULL DEFAULT 0,
    location text,
    content_version text,
    deadline_at timestamptz,
    CHECK (state = 'rejected' OR (check_id IS NOT NULL AND content_version IS NOT NULL AND deadline_at IS NOT NULL))
) WITH (fillfactor = 80);

-- At most one live publication an image, whatever the code does: of two requests at once the second meets the first one's row under
-- the image's lock; this index is what stands if somebody forgets the lock.
CREATE UNIQUE INDEX publications_live ON publications (image_id) WHERE state IN ('checking', 'published');
CREATE INDEX publications_newest ON publications (requested_at DESC, publication_id DESC);
CREATE INDEX publications_of_image ON publications (image_id, requested_at DESC, publication_id DESC);
CREATE INDEX publications_of_account ON publications (account_id, requested_at DESC, publication_id DESC);
CREATE INDEX publications_in_state ON publications (state, requested_at DESC, publication_id DESC);

-- What became of each publication, when, by whom and why; only ever added to.
CREATE TABLE publication_transitions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    publication_id text NOT NULL REFERENCES publications,
    state text NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    request_id text,
    reason text,
    policy_version text,
    problems jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX publication_transitions_of ON publication_transitions (publication_id, id);

-- Client tokens, 24 hours each. `answer` is null until the first request that used the token is answered; `waiting` are the ids of
-- its repeats until then.
CREATE TABLE client_tokens (
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    type text NOT NULL,
    region text NOT NULL,
    token text NOT NULL,
    content bytea NOT NULL,
    used_at timestamptz NOT NULL,
    answer jsonb,
    waiting text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (actor_kind, actor_id, type, region, token)
);
CREATE INDEX client_tokens_used_at ON client_tokens (used_at);

-- migrate: rollback
DROP TABLE client_tokens, publication_transitions, publications, images, accounts;
