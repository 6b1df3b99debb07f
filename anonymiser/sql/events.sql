-- Each request that may be a page view, in small numbers for its texts; `reason` says why it is none ("" if it is one).
-- The zone's rules are asked once for each quarter of an hour: clocks change at quarters, and asking is dear.
WITH quarters AS (
    SELECT
        quarter,
        epoch_us(make_timestamp(quarter * 900000000) AT TIME ZONE 'UTC' AT TIME ZONE $zone) - quarter * 900000000 AS ahead
    FROM (SELECT DISTINCT epoch_us(ts) // 900000000 AS quarter FROM requests)
), decided AS (
    SELECT
        r.seq,
        make_timestamp(epoch_us(r.ts) + q.ahead) AS local,
        CAST(r.ip_id AS BIGINT) * 4294967296 + r.agent_id AS browser,
        r.page_id,
        r.target_id,
        r.agent_id,
        r.referrer_id,
        r.ts,
        CASE
            WHEN r.kind = 'health' THEN 'health'
            WHEN r.excluded THEN 'network'
            WHEN r.bot <> '' AND r.has_agent THEN r.bot
            WHEN r.spam THEN 'spam'
            WHEN r.status = 404 THEN 'not-found'
            WHEN r.status = 304 OR r.status BETWEEN 200 AND 299 THEN r.kind
            WHEN r.status BETWEEN 300 AND 399 THEN 'redirect'
            ELSE 'error'
        END AS reason
    FROM requests AS r
    JOIN quarters AS q ON q.quarter = epoch_us(r.ts) // 900000000
)
SELECT * EXCLUDE (local), CAST(local AS DATE) AS day, CAST(hour(local) AS TINYINT) AS hour FROM decided
