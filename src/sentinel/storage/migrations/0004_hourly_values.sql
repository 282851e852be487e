-- What was measured by the hour, for baselines to be learned from.  mean and squares (the sum of squared distances
-- from the mean) and not sums: the spread of numbers that lie close together is lost between two large sums.
-- Time first: the flush of each second touches few pages, and an hour that is too old goes in one sweep.
CREATE TABLE hourly_values (
    at       INTEGER NOT NULL CHECK (at % 3600 = 0),
    check_id TEXT NOT NULL,
    value    TEXT NOT NULL,
    count    INTEGER NOT NULL CHECK (count > 0),
    mean     REAL NOT NULL,
    squares  REAL NOT NULL CHECK (squares >= 0),
    PRIMARY KEY (at, check_id, value)
) STRICT, WITHOUT ROWID;
