-- One common, combined or vhost line into the few columns that are needed; `problem` says why a line cannot be read.
-- A line of nothing but quotation marks is as good as blank.
WITH parts AS (
    SELECT
        line,
        strlen(text) AS width,
        trim(text, '"') = '' AS blank,
        string_split(
            CASE WHEN contains(text, '\') THEN replace(replace(text, '\\', '/'), '\"', '''') ELSE text END, '"'
        ) AS part
    FROM lines
), fields AS (
    SELECT
        line,
        width,
        blank,
        len(part) AS quotes,
        coalesce(part[1], '') AS head,
        split_part(part[1], ' ', 1) AS first_word,
        right(rtrim(part[1], ' '), 28) AS bracket,
        part[2] AS request,
        split_part(ltrim(part[3]), ' ', 1) AS status,
        part[4] AS referrer,
        part[6] AS agent
    FROM parts
), typed AS (
    SELECT
        *,
        make_timestamp(epoch_us(try_strptime(bracket, '[%d/%b/%Y:%H:%M:%S %z]'))) AS ts,
        try_cast(status AS SMALLINT) AS code
    FROM fields
)
SELECT
    line,
    ts,
    -- A name before the address is the virtual host's; a user's name may hold spaces too, but stands behind a hyphen.
    CASE
        WHEN substr(head, length(first_word) + 1, 6) = ' - - [' THEN first_word
        WHEN len(string_split(split_part(head, ' [', 1), ' ')) > 3
            AND split_part(head, ' ', 2) <> '-'
            AND (
                NOT regexp_matches(first_word, '^(\d+(\.\d+)+|[0-9a-fA-F]*:[0-9a-fA-F:.]+)$')
                OR regexp_matches(split_part(head, ' ', 2), '^(\d+(\.\d+)+|[0-9a-fA-F]*:[0-9a-fA-F:.]+)$')
            )
        THEN split_part(head, ' ', 2)
        ELSE first_word
    END AS ip,
    coalesce(agent, '') AS agent,
    coalesce(split_part(request, ' ', 1), '') AS method,
    coalesce(split_part(request, ' ', 2), '') AS target,
    coalesce(referrer, '') AS referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN blank THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN quotes <> 3 AND quotes < 7 THEN 'quotes do not match the format'
        WHEN ts IS NULL OR NOT starts_with(bracket, '[') THEN 'no readable time'
        WHEN NOT regexp_full_match(status, '[1-5]\d\d') THEN 'no readable status'
    END AS problem,
    blank,
    FALSE AS directive,
    quotes >= 7 AS has_agent
FROM typed
