-- What people (not robots) did: page views, downloads and pages not found, each with its local day and its browser.
SELECT
    r.file,
    r.line,
    v.kind,
    r.ts AT TIME ZONE 'UTC' AT TIME ZONE $zone AS local,
    r.ts,
    dense_rank() OVER (ORDER BY r.ip, r.agent) AS browser,
    t.page,
    t.campaign,
    r.agent,
    r.referrer,
    t.utm_source,
    t.utm_medium
FROM requests AS r
JOIN verdicts AS v ON v.file = r.file AND v.line = r.line
JOIN targets AS t ON t.target = r.target
WHERE coalesce(v.kind, 'view') IN ('view', 'download', 'not-found') AND v.stranger IS NULL
