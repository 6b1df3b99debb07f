-- What was released when, under which policy, bounds and shares: all that a reader needs to judge the cells.
CREATE TABLE release (
    release_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    period_start DATE NOT NULL,
    period_end DATE NOT NULL,
    policy VARCHAR NOT NULL,
    epsilon DOUBLE NOT NULL,
    delta DOUBLE NOT NULL,
    k INTEGER NOT NULL,
    bounds JSON NOT NULL,
    weights JSON NOT NULL,
    catalogue_sha256 VARCHAR NOT NULL,
    software VARCHAR NOT NULL,
    released_at TIMESTAMP NOT NULL
)
