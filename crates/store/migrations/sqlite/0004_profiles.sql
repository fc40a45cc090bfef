-- Never edit this file once it is released: databases remember its checksum. Add the next number.

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
