-- the regional read model: one row an image, one row a share, and how far it has come
-- depends: plumbing_0001

-- migrate: apply

-- The newest state held of each image. `shown` are the members of its JSON object that anybody who sees the image may read,
-- `shown_to_owner` the further ones of its owner (each begins with a comma), rendered when the event came: reading only joins text.
CREATE TABLE images (
    image_id text NOT NULL PRIMARY KEY,
    sequence bigint NOT NULL,
    region text NOT NULL,
    owner_account_id text NOT NULL,
    status text NOT NULL,
    community boolean NOT NULL,
    name text NOT NULL,
    os_version text,
    architecture text,
    created_at timestamptz NOT NULL,
    shown text NOT NULL,
    shown_to_owner text NOT NULL,
    -- A deleted image is nobody's: whatever the event said.
    CHECK (status <> 'Deleted' OR NOT community)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);

-- Each list is one index read backwards from the cursor: newest first, never sorted as a whole.
CREATE INDEX images_own ON images (region, owner_account_id, created_at DESC, image_id DESC) WHERE status <> 'Deleted';
CREATE INDEX images_community ON images (region, created_at DESC, image_id DESC) WHERE community;
CREATE INDEX images_community_owner ON images (region, owner_account_id, created_at DESC, image_id DESC) WHERE community;
CREATE INDEX images_community_os ON images (region, os_version, created_at DESC, image_id DESC) WHERE community;
CREATE INDEX images_community_architecture ON images (region, architecture, created_at DESC, image_id DESC) WHERE community;
CREATE INDEX images_community_name ON images (region, name, created_at DESC, image_id DESC) WHERE community;
-- Community images that are not Available are few: without an index of their own, a list of them would read all the others.
CREATE INDEX images_community_unusual ON images (region, status, created_at DESC, image_id DESC)
    WHERE community AND status <> 'Available';

-- Unrevoked shares, with what their list is ordered by.
CREATE TABLE image_shares (
    account_id text NOT NULL,
    region text NOT NULL,
    created_at timestamptz NOT NULL,
    image_id text NOT NULL,
    PRIMARY KEY (image_id, account_id)
);
CREATE INDEX image_shares_account ON image_shares (account_id, region, created_at DESC, image_id DESC);

-- How far the model has come: when the newest applied event was decided. Some rows, so that readers of several partitions do not wait
-- for each other; the newest of them counts.
CREATE TABLE applied (
    slot smallint NOT NULL PRIMARY KEY,
    decided_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- migrate: rollback
DROP TABLE applied, image_shares, images;
