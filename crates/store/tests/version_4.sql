-- A database as version 4 wrote it: its schema, its history, some rows. This file is a witness and
-- never changes; a later version must open it and read the rows as what they were.

CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES (1, 'sessions_and_keys', '2026-11-29 12:53:20', TRUE,
    x'86f4568caae3ab57a2ceba93557974eb9b2f257fb365e89cab55e7a41d7d60d92758f6c093779ea3dd5fbbba4e6588e9', 1);
INSERT INTO _sqlx_migrations VALUES (2, 'replays', '2026-11-29 12:53:20', TRUE,
    x'7ee96c8450560949d0339abaa9884a759f4e809bca08911aa8ad08dcd8cc966aa615d4acb4568bf567f9ae81f8f2fa13', 1);
INSERT INTO _sqlx_migrations VALUES (3, 'proxies', '2026-11-29 12:53:20', TRUE,
    x'cd3fd25d61c754f8bcf9efca0f9d2037e44d720ab49d454dba73173bf986da0ad97835ce228d937369d2b63073929842', 1);
INSERT INTO _sqlx_migrations VALUES (4, 'profiles', '2026-11-29 12:53:20', TRUE,
    x'e31498ac9983af92c249b9786a551b0c9b9a8ff90c4f837e194f6a8699f859f91bc52f268598c2551e588178b6b845b8', 1);

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

-- Recordings of sessions. They outlive their sessions, and their files are blobs.
CREATE TABLE replays (
    id          TEXT    NOT NULL PRIMARY KEY,
    session_id  TEXT    NOT NULL,
    -- Microseconds since the Unix epoch, both.
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    end_reason  TEXT,
    -- Bytes of the blob; 0 when nothing could be kept.
    size        INTEGER,
    CHECK ((finished_at IS NULL) = (end_reason IS NULL)),
    CHECK ((finished_at IS NULL) = (size IS NULL))
) STRICT;

CREATE INDEX replays_of_session ON replays (session_id, started_at, id);
CREATE INDEX replays_open ON replays (id) WHERE finished_at IS NULL;

-- Upstream proxies, with the credentials they are shown.
CREATE TABLE proxies (
    id           TEXT    NOT NULL PRIMARY KEY,
    -- Several may have the same.
    name         TEXT,
    -- What name and host are in lower case by Unicode's rules (SQLite's own know ASCII only).
    name_folded  TEXT,
    host_folded  TEXT    NOT NULL,
    -- browserd-api's Upstream.
    upstream     TEXT    NOT NULL CHECK (json_valid(upstream)),
    -- Microseconds since the Unix epoch, both.
    created_at   INTEGER NOT NULL,
    last_checked INTEGER,
    -- Whether the last check went well, 1 or 0.
    available    INTEGER CHECK (available IN (0, 1)),
    CHECK ((name IS NULL) = (name_folded IS NULL)),
    CHECK ((last_checked IS NULL) = (available IS NULL))
) STRICT;

CREATE INDEX proxies_by_age ON proxies (created_at DESC, id DESC);
CREATE INDEX proxies_by_name ON proxies (name_folded) WHERE name_folded IS NOT NULL;

-- Browser state that outlives sessions. What was saved is a blob.
CREATE TABLE profiles (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    UNIQUE,
    -- The name in lower case, for searching; names are ASCII.
    name_folded  TEXT,
    -- Microseconds since the Unix epoch, all of them.
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER,
    last_used_at INTEGER,
    -- What tells the blob in force from those before it, and its bytes; nothing until something is saved.
    version      TEXT,
    size         INTEGER,
    CHECK ((name IS NULL) = (name_folded IS NULL)),
    CHECK ((version IS NULL) = (size IS NULL))
) STRICT;

CREATE INDEX profiles_by_age ON profiles (created_at DESC, id DESC);

INSERT INTO sessions VALUES ('htzv5orfit78e1m2biiifpbv', NULL, NULL, '{}',
    '{"headless":true,"viewport":{"width":1920,"height":1080,"refresh_rate":25},"kiosk_mode":false,"location":{},"memory":"1GiB","region":"us-east","timeout_seconds":60,"proxy":"n8b2kq0w5v7yx3mz1c6jtdhr"}',
    'us-east', 1790000000000000, 1790000060000000, 'timed_out', 'no activity for 60 s');
INSERT INTO sessions VALUES ('kq3v9d1n0c7x5z2m8b4l6p0a', 'Nightly', 'nightly', '{"team":"growth"}',
    '{"headless":false,"viewport":{"width":1280,"height":800,"refresh_rate":60},"kiosk_mode":true,"location":{"timezone":"Europe/Paris","locale":"fr-FR"},"memory":"8GiB","region":"eu-west","timeout_seconds":600,"profile":{"id":"p4t9xk2c7w0vqz5m1b8ydhrn","name":"shop-1","created_at":"2026-09-21T14:00:00Z","save_changes":true}}',
    'eu-west', 1790000100000000, NULL, NULL, NULL);
INSERT INTO replays VALUES ('q3m0hs2v8k4xw1dz7c9ytbnr', 'kq3v9d1n0c7x5z2m8b4l6p0a', 1790000110000000,
    1790000120000000, 'stopped', 4096);
INSERT INTO replays VALUES ('r3m0hs2v8k4xw1dz7c9ytbnr', 'kq3v9d1n0c7x5z2m8b4l6p0a', 1790000130000000,
    NULL, NULL, NULL);
INSERT INTO proxies VALUES ('n8b2kq0w5v7yx3mz1c6jtdhr', 'Office', 'office', 'proxy.example',
    '{"protocol":"socks5","host":"proxy.example","port":1080,"username":"me","password":"hunter2","bypass_hosts":["*.a.example"]}',
    1790000000000000, 1790000200000000, 1);
INSERT INTO proxies VALUES ('o8b2kq0w5v7yx3mz1c6jtdhr', NULL, NULL, 'b.example',
    '{"protocol":"http","host":"b.example","port":3128,"bypass_hosts":[]}', 1790000000000001, NULL, NULL);
INSERT INTO profiles VALUES ('p4t9xk2c7w0vqz5m1b8ydhrn', 'shop-1', 'shop-1', 1790000000000000,
    1790000300000000, 1790000400000000, 'v7yx3mz1c6jtdhrn8b2kq0w5', 77);
INSERT INTO profiles VALUES ('q4t9xk2c7w0vqz5m1b8ydhrn', NULL, NULL, 1790000000000001, NULL, NULL, NULL, NULL);
INSERT INTO api_keys VALUES ('first', 'first key', x'abababababababababababababababababababababababababababababababab', 1790000000000000);
