-- Every number as released: signed, with the standard deviation of its noise; no index, so that it stays readable to all.
CREATE TABLE cell (
    release_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    period_start DATE NOT NULL,
    period_days INTEGER NOT NULL,
    statistic VARCHAR NOT NULL,
    key1 VARCHAR NOT NULL,
    key2 VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value BIGINT NOT NULL,
    sigma DOUBLE NOT NULL
)
