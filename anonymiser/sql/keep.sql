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
            WHEN list_contains($assets, lower(string_split(string_split(target, '?')[1], '.')[-1])) THEN 'asset'
        END AS verdict
    FROM lines_read
)
SELECT
    CAST($file AS INTEGER) AS file,
    line,
    verdict,
    CASE WHEN verdict = 'rejected' THEN problem END AS problem,
    CASE WHEN verdict IS NULL THEN ts END AS ts,
    CASE WHEN verdict IS NULL THEN ip END AS ip,
    CASE WHEN verdict IS NULL THEN agent END AS agent,
    CASE WHEN verdict IS NULL THEN target END AS target,
    CASE WHEN verdict IS NULL THEN referrer END AS referrer,
    status,
    has_agent
FROM decided
