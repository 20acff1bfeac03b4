-- own copies of images and accounts, and the books: instances, where their system disks came from, licence charges
-- depends: plumbing_0001

-- migrate: apply

-- What a launch is decided on. A launch holds the row FOR SHARE until it commits, so whoever changes an image and then its instances
-- meets every launch decided on the state before.
CREATE TABLE images (
    image_id text NOT NULL PRIMARY KEY,
    sequence bigint NOT NULL,
    region text NOT NULL,
    owner_account_id text NOT NULL,
    name text NOT NULL,
    family text,
    status text NOT NULL,
    -- The live publication; null while the image is not a community image.
    publication_id text,
    image_digest text,
    root_product jsonb,
    shared_with text[] NOT NULL,
    created_at timestamptz NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX images_family ON images (region, owner_account_id, family, created_at DESC, image_id DESC)
    WHERE family IS NOT NULL AND status = 'Available';

CREATE TABLE accounts (
    account_id text NOT NULL PRIMARY KEY,
    sequence bigint NOT NULL,
    status text NOT NULL
) WITH (fillfactor = 90);

-- One row an instance that was ever launched; a released one keeps its id for good.
CREATE TABLE instances (
    instance_id text NOT NULL PRIMARY KEY,
    account_id text NOT NULL,
    region text NOT NULL,
    instance_type text,
    state text NOT NULL CHECK (state IN ('launched', 'released')),
    -- The system disk: a new id with every image it gets, the same one when it is re-initialised.
    disk_id text NOT NULL UNIQUE,
    image_id text NOT NULL,
    image_sequence bigint NOT NULL,
    image_digest text,
    publication_id text,
    basis text NOT NULL CHECK (basis IN ('own', 'shared', 'community')),
    launched_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    released_at timestamptz,
    release_reason text,
    CHECK ((state = 'released') = (released_at IS NOT NULL))
) WITH (fillfactor = 90);
CREATE INDEX instances_account ON instances (account_id, launched_at DESC, instance_id DESC);
CREATE INDEX instances_image ON instances (image_id, account_id, launched_at DESC, instance_id DESC);

-- Licence fees of paid root products, each from the database's time of opening to that of closing.
CREATE TABLE charges (
    charge_id text NOT NULL PRIMARY KEY,
    instance_id text NOT NULL REFERENCES instances,
    disk_id text NOT NULL,
    product_id text NOT NULL,
    fee_amount numeric NOT NULL,
    fee_currency text NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK (closed_at >= opened_at)
);
-- Nothing is charged twice: one open charge an instance, one charge a disk.
CREATE UNIQUE INDEX charges_open ON charges (instance_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX charges_disk ON charges (disk_id);
CREATE INDEX charges_instance ON charges (instance_id, opened_at DESC);

CREATE TABLE client_tokens (
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    type text NOT NULL,
    region text NOT NULL,
    token text NOT NULL,
    used_at timestamptz NOT NULL,
    content bytea NOT NULL,
    answered_type text NOT NULL,
    change text NOT NULL,
    PRIMARY KEY (actor_kind, actor_id, type, region, token)
);
CREATE INDEX client_tokens_used_at ON client_tokens (used_at);

-- migrate: rollback
DROP TABLE client_tokens, charges, instances, accounts, images;
