-- One JSON line of Caddy, Traefik, nginx or Apache into the needed columns: the first name that is there counts.
WITH mended AS (
    -- nginx and Apache, set up without JSON escapes, write \xHH, which is none.
    SELECT
        line,
        strlen(text) AS width,
        CASE WHEN contains(text, '\x') AND NOT json_valid(text) THEN replace(text, '\x', '\u00') ELSE text END AS text
    FROM lines
), parsed AS (
    SELECT *, json_valid(text) AND regexp_matches(text, '^\s*\{') AS sound FROM mended
), named AS (
    SELECT
        line,
        width,
        sound,
        trim(text, ' ' || chr(9)) = '' AS blank,
        json_extract_string(CASE WHEN sound THEN text ELSE '{}' END, [
            '$.ts', '$.StartUTC', '$.time_iso8601', '$.time_local', '$.timestamp', '$.time', '$."@timestamp"', '$.msec',
            '$.request.client_ip', '$.request.remote_ip', '$.ClientHost', '$.remote_addr', '$.client_ip', '$.clientip',
            '$.remoteIP', '$.remote_ip',
            '$.request.headers."User-Agent"[0]', '$."request_User-Agent"', '$.http_user_agent', '$.user_agent',
            '$.userAgent', '$.agent',
            '$.request.method', '$.RequestMethod', '$.request_method', '$.method', '$.verb',
            '$.request.uri', '$.RequestPath', '$.request_uri', '$.uri', '$.path', '$.url',
            '$.request.headers.Referer[0]', '$.request_Referer', '$.http_referer', '$.http_referrer', '$.referer',
            '$.referrer',
            '$.status', '$.DownstreamStatus', '$.response_status', '$.statusCode',
            '$.request', '$.query', '$.args', '$.query_string', '$.request.remote_addr', '$.ClientAddr'
        ]) AS v
    FROM parsed
), chosen AS (
    SELECT
        line,
        width,
        sound,
        blank,
        trim(coalesce(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], ''), '[]') AS stamp,
        coalesce(
            v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16],
            trim(regexp_replace(coalesce(v[48], v[49], ''), ':\d+$', ''), '[]')
        ) AS ip,
        coalesce(v[17], v[18], v[19], v[20], v[21], v[22]) AS agent,
        coalesce(v[23], v[24], v[25], v[26], v[27]) AS method,
        coalesce(v[28], v[29], v[30], v[31], v[32], v[33]) AS target,
        coalesce(v[34], v[35], v[36], v[37], v[38], v[39], '') AS referrer,
        coalesce(v[40], v[41], v[42], v[43], '') AS status,
        CASE WHEN starts_with(v[44], '{') THEN NULL ELSE v[44] END AS request,
        coalesce(v[45], v[46], v[47], '') AS query
    FROM named
), dated AS (
    SELECT
        *,
        replace(replace(left(stamp, 19), '/', '-'), 'T', ' ') AS clock,
        regexp_extract(stamp, '([+-]\d\d):?(\d\d)$', ['hours', 'minutes']) AS ahead
    FROM chosen
), typed AS (
    SELECT
        *,
        CASE
            WHEN regexp_full_match(stamp, '\d\d/[A-Z][a-z]{2}/[12]\d{3}:\d\d:\d\d:\d\d [+-]\d{4}')
            THEN try_strptime(stamp, '%d/%b/%Y:%H:%M:%S %z') AT TIME ZONE 'UTC'
            WHEN regexp_full_match(
                stamp, '[12]\d{3}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)?(Z| ?[+-]\d\d:?\d\d)?'
            )
            THEN
                try_strptime(clock, '%Y-%m-%d %H:%M:%S')
                - to_minutes(
                    coalesce(try_cast(left(ahead['hours'], 1) || '1' AS INTEGER), 1)
                    * (60 * abs(coalesce(try_cast(ahead['hours'] AS INTEGER), 0))
                    + coalesce(try_cast(ahead['minutes'] AS INTEGER), 0))
                )
            WHEN regexp_full_match(stamp, '\d{9,10}(\.\d+)?')
            THEN make_timestamp(try_cast(split_part(stamp, '.', 1) AS BIGINT) * 1000000)
            WHEN regexp_full_match(stamp, '\d{12,13}(\.\d+)?')
            THEN make_timestamp(try_cast(split_part(stamp, '.', 1) AS BIGINT) // 1000 * 1000000)
            WHEN regexp_full_match(stamp, '\d{18,19}')
            THEN make_timestamp(try_cast(stamp AS BIGINT) // 1000000000 * 1000000)
        END AS ts,
        CASE WHEN regexp_full_match(status, '[1-5]\d\d') THEN try_cast(status AS SMALLINT) END AS code
    FROM dated
)
SELECT
    line,
    ts,
    ip,
    coalesce(agent, '') AS agent,
    coalesce(method, split_part(request, ' ', 1), '') AS method,
    coalesce(target, nullif(split_part(request, ' ', 2), ''), request, '')
    || CASE
        WHEN query IN ('', '-') OR contains(coalesce(target, request, ''), '?') THEN ''
        ELSE '?' || ltrim(query, '?')
    END AS target,
    referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN blank THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN NOT sound THEN 'not a JSON object'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN coalesce(target, request) IS NULL THEN 'no path'
        WHEN code IS NULL THEN 'no readable status'
    END AS problem,
    blank,
    FALSE AS directive,
    agent IS NOT NULL AS has_agent
FROM typed
