-- One JSON line of Caddy, Traefik, nginx or Apache into the needed columns: the first name that is there counts.
WITH parsed AS (
    SELECT line, text, strlen(text) AS width, json_valid(text) AND starts_with(ltrim(text), '{') AS sound FROM lines
), named AS (
    SELECT
        line,
        width,
        sound,
        trim(text) = '' AS blank,
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
            '$.request', '$.query', '$.request.remote_addr', '$.ClientAddr'
        ]) AS v
    FROM parsed
), chosen AS (
    SELECT
        line,
        width,
        sound,
        blank,
        trim(coalesce(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]), '[]') AS stamp,
        coalesce(v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], regexp_replace(coalesce(v[46], v[47], ''), ':\d+$', '')) AS ip,
        coalesce(v[17], v[18], v[19], v[20], v[21], v[22]) AS agent,
        coalesce(v[23], v[24], v[25], v[26], v[27], split_part(v[44], ' ', 1), '') AS method,
        coalesce(v[28], v[29], v[30], v[31], v[32], v[33], nullif(split_part(v[44], ' ', 2), ''), v[44]) AS target,
        coalesce(v[34], v[35], v[36], v[37], v[38], v[39], '') AS referrer,
        try_cast(coalesce(v[40], v[41], v[42], v[43]) AS SMALLINT) AS code,
        coalesce(v[45], '') AS query
    FROM named
), typed AS (
    SELECT
        *,
        coalesce(
            try_strptime(stamp, '%d/%b/%Y:%H:%M:%S %z') AT TIME ZONE 'UTC',
            CASE
                WHEN regexp_full_match(stamp, '\d{9,10}(\.\d+)?')
                THEN make_timestamp(CAST(CAST(stamp AS DOUBLE) * 1000000 AS BIGINT))
            END,
            CASE WHEN regexp_full_match(stamp, '\d{12,13}') THEN make_timestamp(try_cast(stamp AS BIGINT) * 1000) END,
            try_cast(stamp AS TIMESTAMPTZ) AT TIME ZONE 'UTC',
            try_strptime(stamp, '%Y-%m-%dT%H:%M:%S%z') AT TIME ZONE 'UTC'
        ) AS ts
    FROM chosen
)
SELECT
    line,
    ts,
    ip,
    coalesce(agent, '') AS agent,
    method,
    coalesce(target, '')
    || CASE WHEN query = '' OR contains(target, '?') THEN '' ELSE '?' || ltrim(query, '?') END AS target,
    referrer,
    coalesce(code, 0) AS status,
    CASE
        WHEN blank THEN ''
        WHEN width > $max_line THEN 'too long'
        WHEN NOT sound THEN 'not a JSON object'
        WHEN ts IS NULL THEN 'no readable time'
        WHEN target IS NULL THEN 'no path'
        WHEN code IS NULL OR code NOT BETWEEN 100 AND 599 THEN 'no readable status'
    END AS problem,
    blank,
    FALSE AS directive,
    agent IS NOT NULL AS has_agent
FROM typed
