-- One line of IIS's own comma format: client, user, date, time, service, server, address, … status, …, method, target.
WITH parts AS (
    SELECT line, strlen(text) AS width, string_split(text, ', ') AS part FROM lines
), typed AS (
    SELECT
        *,
        coalesce(
            try_strptime(part[3] || ' ' || part[4], '%m/%d/%y %H:%M:%S'),
            try_strptime(part[3] || ' ' || part[4], '%m/%d/%Y %H:%M:%S')
        ) AS ts,
        try_cast(part[11] AS SMALLINT) AS code,
        rtrim(part[15], ',') AS query
    FROM parts
)
SELECT
    line,
    ts,
    part[1] AS ip,
    '' AS agent,
    coalesce(part[13], '') AS method,
    coalesce(part[14], '') || CASE WHEN coalesce(query, '-') = '-' THEN '' ELSE '?' || query END AS target,
    '' AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN width = 0 THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN len(part) < 14 THEN 'too few columns'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL OR code NOT BETWEEN 100 AND 599 THEN 'no readable status'
    END AS problem,
    width = 0 AS blank,
    FALSE AS directive,
    FALSE AS has_agent
FROM typed
