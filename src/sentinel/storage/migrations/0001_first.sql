-- Times are UTC epoch seconds.  Columns that hold JSON say so in their check.  The checks are more than manners:
-- "PRAGMA integrity_check" evaluates them, so that a flipped byte in a state is found at the next start and does
-- not turn an open incident into a forgotten one.

CREATE TABLE incidents (
    id          TEXT NOT NULL PRIMARY KEY,
    key         TEXT NOT NULL,
    rule        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    target      TEXT NOT NULL,
    title       TEXT NOT NULL,
    labels      TEXT NOT NULL CHECK (json_valid(labels)),
    severity    TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'major', 'critical')),
    state       TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    telling     TEXT NOT NULL CHECK (telling IN ('held', 'told', 'suppressed')),
    began_at    REAL NOT NULL,
    opened_at   REAL NOT NULL,
    resolved_at REAL CHECK ((resolved_at IS NULL) = (state = 'open')),
    verdict     TEXT CHECK (verdict IS NULL OR json_valid(verdict)),
    cause       TEXT NOT NULL,
    channels    TEXT NOT NULL CHECK (json_valid(channels)),
    version     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX incidents_open ON incidents (key) WHERE state = 'open';
CREATE INDEX incidents_by_opening ON incidents (opened_at);
CREATE INDEX incidents_by_end ON incidents (resolved_at) WHERE state = 'resolved';

-- Kept for ever: what the promises are counted from.
CREATE TABLE transitions (
    incident TEXT NOT NULL REFERENCES incidents (id),
    seq      INTEGER NOT NULL,
    at       REAL NOT NULL,
    old      TEXT NOT NULL,
    new      TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'major', 'critical')),
    reason   TEXT NOT NULL,
    event    TEXT CHECK (event IN ('opened', 'changed', 'resolved', 'test')),
    cause    TEXT NOT NULL,
    actor    TEXT NOT NULL,
    verdict  TEXT CHECK (verdict IS NULL OR json_valid(verdict)),
    PRIMARY KEY (incident, seq)
) STRICT, WITHOUT ROWID;

-- The outbox.  No reference to incidents: a test message belongs to none.
CREATE TABLE notices (
    number     INTEGER PRIMARY KEY,
    incident   TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    channel    TEXT NOT NULL,
    message    TEXT NOT NULL CHECK (json_valid(message)),
    created_at REAL NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('queued', 'sent', 'undelivered')),
    attempts   INTEGER NOT NULL,
    next_at    REAL NOT NULL,
    error      TEXT NOT NULL,
    settled_at REAL,
    UNIQUE (incident, seq, channel)
) STRICT;

CREATE INDEX notices_queued ON notices (channel, next_at) WHERE status = 'queued';
CREATE INDEX notices_undelivered ON notices (channel) WHERE status = 'undelivered';
CREATE INDEX notices_by_age ON notices (created_at);

CREATE TABLE statuses (
    number   INTEGER PRIMARY KEY,
    check_id TEXT NOT NULL,
    at       REAL NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('up', 'down', 'unknown', 'unobserved'))
) STRICT;

CREATE INDEX statuses_by_check ON statuses (check_id, at);
CREATE INDEX statuses_by_time ON statuses (at);

CREATE TABLE retrievals (
    id         TEXT NOT NULL PRIMARY KEY,
    check_id   TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at   REAL,
    shown      INTEGER NOT NULL CHECK (shown IN (0, 1)),
    attempts   INTEGER NOT NULL,
    stage      TEXT NOT NULL,
    code       TEXT NOT NULL
) STRICT;

CREATE INDEX retrievals_by_start ON retrievals (started_at);
CREATE INDEX retrievals_open ON retrievals (started_at) WHERE ended_at IS NULL;

-- Time before check: all checks of one period lie side by side, so that the flush of each second touches few pages
-- and a period that is too old is deleted in one sweep.
CREATE TABLE rollups (
    width    INTEGER NOT NULL CHECK (width IN (300, 3600)),
    at       INTEGER NOT NULL CHECK (at % width = 0),
    check_id TEXT NOT NULL,
    ok       INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    unknown  INTEGER NOT NULL,
    took_sum REAL NOT NULL,
    took_max REAL NOT NULL,
    PRIMARY KEY (width, at, check_id)
) STRICT, WITHOUT ROWID;

-- What there is only one of: when the daemon was last alive, up to when roll-ups are compacted.
CREATE TABLE marks (
    name  TEXT NOT NULL PRIMARY KEY CHECK (name IN ('alive_at', 'compacted_until')),
    value REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE channel_states (
    channel      TEXT NOT NULL PRIMARY KEY,
    sent         TEXT NOT NULL CHECK (json_valid(sent)),
    broken_until REAL NOT NULL
) STRICT, WITHOUT ROWID;
