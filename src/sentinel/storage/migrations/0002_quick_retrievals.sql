-- A picture at the first attempt within 10 s is no news: a fleet of cameras has hundreds of thousands of them a day.
-- They are counted by the hour; every other episode stays a row of its own.  Hours, since a month of every zone with
-- whole hours is made of them.
CREATE TABLE retrieval_hours (
    at           INTEGER NOT NULL CHECK (at % 3600 = 0),
    check_id     TEXT NOT NULL,
    count        INTEGER NOT NULL,
    seconds      REAL NOT NULL,
    slowest      REAL NOT NULL,
    last_at      REAL NOT NULL,
    last_seconds REAL NOT NULL,
    PRIMARY KEY (at, check_id)
) STRICT, WITHOUT ROWID;

-- SQLite: a bare column beside max() is of the row that has the maximum.
INSERT INTO retrieval_hours
SELECT CAST(started_at / 3600 AS INTEGER) * 3600 AS hour, check_id, count(*), sum(max(0.0, ended_at - started_at)),
       max(max(0.0, ended_at - started_at)), 0, 0
FROM retrievals WHERE shown = 1 AND attempts = 1 AND ended_at - started_at <= 10
GROUP BY hour, check_id;

UPDATE retrieval_hours SET last_at = last.ended_at, last_seconds = last.took
FROM (
    SELECT CAST(started_at / 3600 AS INTEGER) * 3600 AS hour, check_id, max(ended_at) AS ended_at,
           max(0.0, ended_at - started_at) AS took
    FROM retrievals WHERE shown = 1 AND attempts = 1 AND ended_at - started_at <= 10
    GROUP BY hour, check_id) AS last
WHERE last.hour = retrieval_hours.at AND last.check_id = retrieval_hours.check_id;

DELETE FROM retrievals WHERE shown = 1 AND attempts = 1 AND ended_at - started_at <= 10;
