-- Each line that may be a page view, in small numbers for its texts; `reason` says why it is none ("" if it is one).
SELECT
    r.file,
    r.line,
    r.ts,
    r.ts AT TIME ZONE 'UTC' AT TIME ZONE $zone AS local,
    CAST(i.ip_id AS BIGINT) * 4294967296 + a.agent_id AS browser,
    t.page_id,
    t.target_id,
    a.agent_id,
    s.referrer_id,
    CASE
        WHEN t.kind = 'health' THEN 'health'
        WHEN i.excluded THEN 'network'
        WHEN a.bot <> '' AND r.has_agent THEN 'bot-' || a.bot
        WHEN s.spam THEN 'spam'
        WHEN r.status = 404 THEN 'not-found'
        WHEN r.status = 304 OR r.status BETWEEN 200 AND 299 THEN t.kind
        WHEN r.status BETWEEN 300 AND 399 THEN 'redirect'
        ELSE 'error'
    END AS reason
FROM requests AS r
JOIN targets AS t ON t.target = r.target
JOIN agents AS a ON a.agent = r.agent
JOIN referrers AS s ON s.referrer = r.referrer
JOIN ips AS i ON i.ip = r.ip
WHERE r.verdict IS NULL
