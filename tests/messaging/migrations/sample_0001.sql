-- the sample service of the plumbing's tests: a projection of accounts, and a journal of every effect
-- depends: plumbing_0001

-- migrate: apply
CREATE TABLE accounts (
    account_id text NOT NULL PRIMARY KEY,
    display_name text,
    sequence bigint NOT NULL,
    applied integer NOT NULL
);
CREATE TABLE journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    key text NOT NULL,
    what text NOT NULL
);

-- migrate: rollback
DROP TABLE journal, accounts;
