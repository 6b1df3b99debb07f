-- What is kept of a line: a verdict where its own text decides, else only what the dictionaries and visits need.
WITH decided AS (
    SELECT
        *,
        CASE
            WHEN directive THEN 'directive'
            WHEN blank THEN 'blank'
            WHEN problem <> '' THEN 'rejected'
            WHEN ts > $latest THEN 'future'
            WHEN method <> 'GET' THEN 'method'
            WHEN regexp_matches(target, $assets) THEN 'asset'
        END AS verdict
    FROM lines_read
)
SELECT
    line,
    verdict,
    problem,
    CAST(ts AS TIMESTAMP) AS ts,
    CASE WHEN verdict IS NULL THEN ip END AS ip,
    CASE WHEN verdict IS NULL THEN agent END AS agent,
    CASE WHEN verdict IS NULL THEN target END AS target,
    CASE WHEN verdict IS NULL THEN referrer END AS referrer,
    CAST(status AS SMALLINT) AS status,
    has_agent
FROM decided
