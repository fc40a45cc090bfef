-- Never edit this file once it is released: databases remember its checksum. Add the next number.

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
