-- Why a line is not a page view, decided in this order: the first reason that holds is the one counted.
SELECT
    r.file,
    r.line,
    CASE
        WHEN r.directive THEN 'directive'
        WHEN r.blank THEN 'blank'
        WHEN r.problem <> '' THEN 'rejected'
        WHEN r.method <> 'GET' THEN 'method'
        WHEN t.kind IN ('asset', 'health') THEN t.kind
        WHEN r.status = 404 THEN 'not-found'
        WHEN r.status = 304 OR r.status BETWEEN 200 AND 299 THEN CASE WHEN t.kind = 'download' THEN 'download' END
        WHEN r.status BETWEEN 300 AND 399 THEN 'redirect'
        ELSE 'error'
    END AS kind,
    CASE
        WHEN r.directive OR r.blank OR r.problem <> '' THEN NULL
        WHEN n.ip IS NOT NULL THEN 'network'
        WHEN a.bot <> '' AND r.has_agent THEN 'bot-' || a.bot
        WHEN s.spam THEN 'spam'
    END AS stranger
FROM requests AS r
LEFT JOIN targets AS t ON t.target = r.target
LEFT JOIN agents AS a ON a.agent = r.agent
LEFT JOIN referrers AS s ON s.referrer = r.referrer
LEFT JOIN excluded AS n ON n.ip = r.ip
