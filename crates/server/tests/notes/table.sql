CREATE TABLE notes (
    id          TEXT    NOT NULL PRIMARY KEY,
    project_id  TEXT    NOT NULL,
    name        TEXT,
    name_folded TEXT,
    text        TEXT    NOT NULL,
    tags        TEXT    NOT NULL CHECK (json_valid(tags)),
    created_at  INTEGER NOT NULL,
    CHECK ((name IS NULL) = (name_folded IS NULL))
) STRICT;

CREATE UNIQUE INDEX notes_name ON notes (project_id, name);
CREATE INDEX notes_by_age ON notes (project_id, created_at DESC, id DESC);
