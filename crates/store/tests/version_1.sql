-- A database as the first version wrote it: its schema, its history, some rows. This file is a
-- witness and never changes; a later version must open it and read the rows as what they were.

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES (1, 'sessions_and_keys', '2026-09-21 12:53:20', TRUE,
    x'86f4568caae3ab57a2ceba93557974eb9b2f257fb365e89cab55e7a41d7d60d92758f6c093779ea3dd5fbbba4e6588e9', 1);

CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT,
    -- The name in lower case by Unicode's rules (SQLite's own know ASCII only), for searching.
    name_folded TEXT,
    -- An object of strings.
    tags        TEXT    NOT NULL CHECK (json_valid(tags)),
    -- What the session is, as browserd-api's SessionConfig.
    config      TEXT    NOT NULL,
    -- A copy of config's region, for filtering.
    region      TEXT    NOT NULL,
    -- Microseconds since the Unix epoch, both.
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    end_reason  TEXT,
    end_detail  TEXT,
    CHECK ((name IS NULL) = (name_folded IS NULL)),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CHECK (ended_at IS NOT NULL OR end_detail IS NULL)
) STRICT;

-- A name belongs to one running session at a time; ended ones keep theirs.
CREATE UNIQUE INDEX sessions_running_name ON sessions (name) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_name ON sessions (name) WHERE name IS NOT NULL;
CREATE INDEX sessions_running ON sessions (created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_age ON sessions (created_at DESC, id DESC);

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    -- SHA-256 of the key; the key itself is nowhere.
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL
) STRICT;

INSERT INTO sessions VALUES ('htzv5orfit78e1m2biiifpbv', NULL, NULL, '{}',
    '{"headless":true,"viewport":{"width":1920,"height":1080,"refresh_rate":25},"kiosk_mode":false,"location":{},"memory":"1GiB","region":"us-east","timeout_seconds":60}',
    'us-east', 1790000000000000, 1790000060000000, 'timed_out', 'no activity for 60 s');
INSERT INTO sessions VALUES ('kq3v9d1n0c7x5z2m8b4l6p0a', 'Nightly', 'nightly', '{"team":"growth"}',
    '{"headless":false,"viewport":{"width":1280,"height":800,"refresh_rate":60},"kiosk_mode":true,"start_url":"https://example.com/","location":{"timezone":"Europe/Paris","locale":"fr-FR"},"chrome_policy":{"HomepageLocation":"https://example.com/"},"memory":"8GiB","region":"eu-west","timeout_seconds":600}',
    'eu-west', 1790000100000000, NULL, NULL, NULL);
INSERT INTO api_keys VALUES ('first', 'first key', x'abababababababababababababababababababababababababababababababab', 1790000000000000);
