-- Never edit this file once it is released: databases remember its checksum. Add the next number.

-- What an ended session does not need: its policy may have megabytes.
UPDATE sessions
    SET config = CASE WHEN json_valid(config) THEN json_remove(config, '$.chrome_policy') ELSE config END
    WHERE ended_at IS NOT NULL;

-- Copies of what config says, for searching: a search reads an index, and rows only that it shows.
ALTER TABLE sessions ADD COLUMN proxy_id TEXT;
ALTER TABLE sessions ADD COLUMN profile_id TEXT;
ALTER TABLE sessions ADD COLUMN profile_name TEXT;
UPDATE sessions
    SET proxy_id = json_extract(config, '$.proxy'),
        profile_id = json_extract(config, '$.profile.id'),
        profile_name = json_extract(config, '$.profile.name')
    WHERE CASE WHEN json_valid(config) THEN 1 ELSE 0 END;
DROP INDEX sessions_by_age;
CREATE INDEX sessions_by_age ON sessions (project_id, created_at DESC, id DESC,
    ended_at, name_folded, proxy_id, profile_id, profile_name);

-- What is old is found without looking at the rest.
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX replays_ended ON replays (finished_at, id) WHERE finished_at IS NOT NULL;
