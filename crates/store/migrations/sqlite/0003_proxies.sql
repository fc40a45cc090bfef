-- Never edit this file once it is released: databases remember its checksum. Add the next number.

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
