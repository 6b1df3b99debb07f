-- One line of an AWS load balancer: eleven columns and two quoted texts, with the connection's type in front or not.
WITH parts AS (
    SELECT
        line,
        strlen(text) AS width,
        string_split(
            CASE WHEN contains(text, '\') THEN replace(replace(text, '\\', '/'), '\"', '''') ELSE text END, '"'
        ) AS part
    FROM lines
), fields AS (
    SELECT line, width, part, string_split(rtrim(part[1], ' '), ' ') AS piece FROM parts
), picked AS (
    SELECT
        *,
        len(piece) - 11 AS skip,
        coalesce(piece[len(piece) - 10], '') AS stamp,
        coalesce(piece[len(piece) - 3], '') AS status
    FROM fields
), typed AS (
    SELECT
        *,
        CASE
            WHEN regexp_full_match(stamp, '[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z')
            THEN try_strptime(left(stamp, 19), '%Y-%m-%dT%H:%M:%S')
        END AS ts,
        CASE WHEN regexp_full_match(status, '[1-5]\d\d') THEN try_cast(status AS SMALLINT) END AS code
    FROM picked
)
SELECT
    line,
    ts,
    trim(regexp_replace(coalesce(piece[len(piece) - 8], ''), ':\d+$', ''), '[]') AS ip,
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
        WHEN code IS NULL THEN 'no readable status'
    END AS problem,
    width = 0 AS blank,
    FALSE AS directive,
    TRUE AS has_agent
FROM typed
