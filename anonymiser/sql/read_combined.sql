-- One common, combined or vhost line into the few columns that are needed; `problem` says why a line cannot be read.
WITH parts AS (
    SELECT
        line,
        strlen(text) AS width,
        string_split(
            CASE WHEN contains(text, '\') THEN replace(replace(text, '\\', '/'), '\"', '''') ELSE text END, '"'
        ) AS part
    FROM lines
), fields AS (
    SELECT
        line,
        width,
        len(part) AS quotes,
        string_split(split_part(part[1], ' [', 1), ' ') AS who,
        split_part(split_part(part[1], '[', 2), ']', 1) AS stamp,
        string_split(part[2], ' ') AS request,
        split_part(trim(part[3]), ' ', 1) AS status,
        part[4] AS referrer,
        part[6] AS agent
    FROM parts
), typed AS (
    SELECT
        *,
        try_strptime(stamp, '%d/%b/%Y:%H:%M:%S %z') AT TIME ZONE 'UTC' AS ts,
        try_cast(status AS SMALLINT) AS code
    FROM fields
)
SELECT
    line,
    ts,
    CASE WHEN len(who) > 3 AND NOT regexp_matches(who[1], '^[0-9a-fA-F.:]+$') THEN who[2] ELSE who[1] END AS ip,
    coalesce(agent, '') AS agent,
    coalesce(request[1], '') AS method,
    coalesce(request[2], '') AS target,
    coalesce(referrer, '') AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN width = 0 THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN quotes <> 3 AND quotes < 7 THEN 'quotes do not match the format'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL OR code NOT BETWEEN 100 AND 599 THEN 'no readable status'
    END AS problem,
    width = 0 AS blank,
    FALSE AS directive,
    quotes >= 7 AS has_agent
FROM typed
