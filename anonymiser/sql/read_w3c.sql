-- One W3C line into the needed columns, by the #Fields in force above it: apart by tabs, else by spaces, maybe in quotes.
WITH plain AS (
    SELECT
        *,
        CASE
            WHEN contains(text, chr(9)) AND len(string_split(text, chr(9))) = at_width THEN string_split(text, chr(9))
            ELSE list_filter(string_split(replace(text, chr(9), ' '), ' '), lambda piece: piece <> '')
        END AS piece
    FROM lines
), parts AS (
    SELECT
        * EXCLUDE (piece),
        CASE
            WHEN NOT contains(text, '"') THEN piece
            ELSE list_transform(
                CASE
                    WHEN len(piece) = at_width OR directive THEN piece
                    ELSE regexp_extract_all(text, '"(?:[^"]|"")*"|[^ \t]+')
                END,
                lambda value: CASE
                    WHEN regexp_matches(value, '(?s)^".*"$') THEN replace(value[2:-2], '""', '"')
                    ELSE value
                END
            )
        END AS part
    FROM (SELECT *, starts_with(text, '#') AS directive FROM plain)
), fields AS (
    SELECT
        line,
        strlen(text) AS width,
        len(part) AS columns,
        trim(text, chr(9) || ' ') = '' AS blank,
        at_width,
        at_stem,
        directive,
        CASE WHEN at_date > 0 THEN part[at_date] ELSE day END AS date,
        CASE WHEN at_time > 0 THEN part[at_time] ELSE '00:00:00' END AS time,
        CASE WHEN at_ip > 0 THEN part[at_ip] ELSE '' END AS ip,
        CASE WHEN at_method > 0 THEN part[at_method] ELSE 'GET' END AS method,
        CASE WHEN at_stem > 0 THEN part[at_stem] ELSE '' END AS stem,
        CASE WHEN at_query > 0 THEN part[at_query] ELSE '' END AS query,
        CASE WHEN at_status > 0 THEN part[at_status] ELSE '200' END AS status,
        CASE WHEN at_agent > 0 THEN part[at_agent] ELSE '' END AS agent,
        CASE WHEN at_referrer > 0 THEN part[at_referrer] ELSE '-' END AS referrer,
        at_agent > 0 AS has_agent
    FROM parts
), typed AS (
    SELECT
        *,
        CASE
            WHEN regexp_full_match(date, '[12]\d{3}-\d\d-\d\d') AND regexp_full_match(time, '\d\d:\d\d(:\d\d(\.\d+)?)?')
            THEN try_strptime(date || ' ' || rpad(left(time, 8), 8, ':00'), '%Y-%m-%d %H:%M:%S')
        END AS ts,
        CASE WHEN regexp_full_match(status, '[1-5]\d\d') THEN try_cast(status AS SMALLINT) END AS code
    FROM fields
)
SELECT
    line,
    ts,
    coalesce(ip, '') AS ip,
    CASE WHEN contains(agent, ' ') THEN agent ELSE coalesce(replace(agent, '+', ' '), '') END AS agent,
    coalesce(method, '') AS method,
    coalesce(stem, '')
    || CASE WHEN coalesce(query, '') IN ('', '-') OR contains(stem, '?') THEN '' ELSE '?' || ltrim(query, '?') END
    AS target,
    coalesce(referrer, '') AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN directive OR blank THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN at_width = 0 THEN 'no #Fields above it'
        WHEN at_stem = 0 THEN 'its #Fields name no cs-uri-stem'
        WHEN columns <> at_width THEN 'columns do not match #Fields'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN code IS NULL THEN 'no readable status'
    END AS problem,
    blank,
    directive,
    has_agent
FROM typed
