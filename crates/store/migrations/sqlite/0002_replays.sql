-- Never edit this file once it is released: databases remember its checksum. Add the next number.

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
