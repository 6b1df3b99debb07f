-- One line of IIS's own comma format: client, user, date, time, service, server, address, … status, …, method, target.
WITH parts AS (
    SELECT line, strlen(text) AS width, string_split(text, ', ') AS part FROM lines
), typed AS (
    SELECT
        *,
        CASE
            WHEN NOT regexp_full_match(part[4], '\d{1,2}:\d\d:\d\d') THEN NULL
            WHEN regexp_full_match(part[3], '\d{1,2}/\d{1,2}/\d\d')
            THEN try_strptime(part[3] || ' ' || part[4], '%m/%d/%y %H:%M:%S')
            WHEN regexp_full_match(part[3], '\d{1,2}/\d{1,2}/[12]\d{3}')
            THEN try_strptime(part[3] || ' ' || part[4], '%m/%d/%Y %H:%M:%S')
        END AS ts,
        CASE WHEN regexp_full_match(part[11], '[1-5]\d\d') THEN try_cast(part[11] AS SMALLINT) END AS code,
        rtrim(part[15], ',') AS query
    FROM parts
)
SELECT
    line,
    ts,
    part[1] AS ip,
    '' AS agent,
    coalesce(part[13], '') AS method,
    rtrim(coalesce(part[14], ''), ',') || CASE WHEN coalesce(query, '-') IN ('-', '') THEN '' ELSE '?' || query END
    AS target,
    '' AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN width = 0 THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN len(part) < 14 THEN 'too few columns'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL THEN 'no readable status'
    END AS problem,
    width = 0 AS blank,
    FALSE AS directive,
    FALSE AS has_agent
FROM typed
