-- One IIS W3C line into the needed columns, by the #Fields in force above it; spaces may be repeated.
WITH parts AS (
    SELECT *, list_filter(string_split(text, ' '), lambda piece: piece <> '') AS part FROM lines
), fields AS (
    SELECT
        line,
        strlen(text) AS width,
        len(part) AS columns,
        at_width,
        at_stem,
        starts_with(text, '#') AS directive,
        CASE WHEN at_date > 0 THEN part[at_date] ELSE day END AS date,
        CASE WHEN at_time > 0 THEN part[at_time] ELSE '00:00:00' END AS time,
        CASE WHEN at_ip > 0 THEN part[at_ip] ELSE '' END AS ip,
        CASE WHEN at_method > 0 THEN part[at_method] ELSE 'GET' END AS method,
        CASE WHEN at_stem > 0 THEN part[at_stem] ELSE '' END AS stem,
        CASE WHEN at_query > 0 THEN part[at_query] ELSE '-' END AS query,
        CASE WHEN at_status > 0 THEN part[at_status] ELSE '200' END AS status,
        CASE WHEN at_agent > 0 THEN replace(part[at_agent], '+', ' ') ELSE '' END AS agent,
        CASE WHEN at_referrer > 0 THEN part[at_referrer] ELSE '-' END AS referrer,
        at_agent > 0 AS has_agent
    FROM parts
), typed AS (
    SELECT
        *,
        try_strptime(date || ' ' || time, '%Y-%m-%d %H:%M:%S') AS ts,
        try_cast(status AS SMALLINT) AS code
    FROM fields
)
SELECT
    line,
    ts,
    coalesce(ip, '') AS ip,
    coalesce(agent, '') AS agent,
    coalesce(method, '') AS method,
    coalesce(stem, '') || CASE WHEN query IS NULL OR query = '-' THEN '' ELSE '?' || query END AS target,
    coalesce(referrer, '') AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN directive OR columns = 0 THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN at_width = 0 THEN 'no #Fields above it'
        WHEN at_stem = 0 THEN 'its #Fields name no cs-uri-stem'
        WHEN columns <> at_width THEN 'columns do not match #Fields'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL OR code NOT BETWEEN 100 AND 599 THEN 'no readable status'
    END AS problem,
    columns = 0 AS blank,
    directive,
    has_agent
FROM typed
