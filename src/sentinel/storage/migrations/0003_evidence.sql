-- What incidents were opened on: the frame that was judged, the path.  Bounded by retention; the oldest go first.
CREATE TABLE evidence (
    id         INTEGER PRIMARY KEY,
    incident   TEXT NOT NULL REFERENCES incidents (id),
    number     INTEGER NOT NULL,
    at         REAL NOT NULL,
    kind       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size = length(data)),
    data       BLOB NOT NULL,
    UNIQUE (incident, number)
) STRICT;

-- With the size: how much there is altogether is asked at each piece, and must not read the pieces.
CREATE INDEX evidence_by_age ON evidence (at, size);

-- What a protocol remembers of a check over a restart: when a heartbeat was last heard.
CREATE TABLE memories (
    check_id TEXT NOT NULL PRIMARY KEY,
    at       REAL NOT NULL,
    memory   TEXT NOT NULL CHECK (json_valid(memory))
) STRICT, WITHOUT ROWID;
