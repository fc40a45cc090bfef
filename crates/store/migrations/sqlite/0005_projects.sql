-- Never edit this file once it is released: databases remember its checksum. Add the next number.

-- Every row belongs to a project. What there is so far is the default one's.

ALTER TABLE sessions ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default00000000000000000';
ALTER TABLE replays ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default00000000000000000';
ALTER TABLE proxies ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default00000000000000000';
ALTER TABLE api_keys ADD COLUMN project_id TEXT NOT NULL DEFAULT 'default00000000000000000';

-- Names are unique in their project; searches look through one project.
DROP INDEX sessions_running_name;
DROP INDEX sessions_by_name;
DROP INDEX sessions_running;
DROP INDEX sessions_by_age;
CREATE UNIQUE INDEX sessions_running_name ON sessions (project_id, name) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_name ON sessions (project_id, name) WHERE name IS NOT NULL;
CREATE INDEX sessions_running ON sessions (project_id, created_at DESC, id DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_age ON sessions (project_id, created_at DESC, id DESC);

DROP INDEX replays_of_session;
CREATE INDEX replays_of_session ON replays (project_id, session_id, started_at, id);

DROP INDEX proxies_by_age;
DROP INDEX proxies_by_name;
CREATE INDEX proxies_by_age ON proxies (project_id, created_at DESC, id DESC);
CREATE INDEX proxies_by_name ON proxies (project_id, name_folded) WHERE name_folded IS NOT NULL;

-- SQLite cannot take a column's UNIQUE away: the table is made anew.
CREATE TABLE profiles_of_projects (
    id           TEXT    NOT NULL PRIMARY KEY,
    project_id   TEXT    NOT NULL DEFAULT 'default00000000000000000',
    name         TEXT,
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
INSERT INTO profiles_of_projects
        (id, name, name_folded, created_at, updated_at, last_used_at, version, size)
    SELECT id, name, name_folded, created_at, updated_at, last_used_at, version, size FROM profiles;
DROP TABLE profiles;
ALTER TABLE profiles_of_projects RENAME TO profiles;
CREATE UNIQUE INDEX profiles_name ON profiles (project_id, name);
CREATE INDEX profiles_by_age ON profiles (project_id, created_at DESC, id DESC);
