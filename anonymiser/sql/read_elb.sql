-- One line of an AWS load balancer: eleven columns and two quoted texts, with the connection's type in front or not.
WITH parts AS (
    SELECT line, strlen(text) AS width, string_split(text, '"') AS part FROM lines
), fields AS (
    SELECT line, width, part, string_split(rtrim(part[1]), ' ') AS piece FROM parts
), typed AS (
    SELECT
        *,
        len(piece) - 11 AS skip,
        try_cast(piece[len(piece) - 10] AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS ts,
        try_cast(piece[len(piece) - 3] AS SMALLINT) AS code
    FROM fields
)
SELECT
    line,
    ts,
    regexp_replace(coalesce(piece[len(piece) - 8], ''), ':\d+$', '') AS ip,
    coalesce(part[4], '') AS agent,
    split_part(coalesce(part[2], ''), ' ', 1) AS method,
    split_part(coalesce(part[2], ''), ' ', 2) AS target,
    '' AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN width = 0 THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN len(part) < 5 OR skip NOT BETWEEN 0 AND 1 THEN 'columns do not match the format'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL OR code NOT BETWEEN 100 AND 599 THEN 'no readable status'
    END AS problem,
    width = 0 AS blank,
    FALSE AS directive,
    TRUE AS has_agent
FROM typed
