-- Every statistic a log can know, bounded as in bounds.py: the same sums as facts.shred on the same views.
SELECT day, 'visitors' AS statistic, '' AS key1, '' AS key2, count(*) AS total FROM visits WHERE n = 1 GROUP BY day
UNION ALL
SELECT day, 'views', '', '', count(*) FROM visits WHERE n <= $views GROUP BY day
UNION ALL
SELECT day, 'visits', '', '', count(*) FROM visits WHERE k = 1 AND v <= $visits GROUP BY day
UNION ALL
SELECT day, 'bounces', '', '', sum(CASE WHEN k = 1 THEN 1 ELSE -1 END)
FROM visits WHERE k <= 2 AND v <= $visits GROUP BY day
UNION ALL
SELECT day, 'hours', lpad(CAST(hour AS VARCHAR), 2, '0'), '', count(*)
FROM visits WHERE v = 1 AND k = 1 GROUP BY day, hour
UNION ALL
SELECT day, 'pages', page, '', count(*) FROM visits WHERE p BETWEEN 1 AND $pages GROUP BY day, page
UNION ALL
SELECT day, 'entries', page, '', count(*) FROM visits WHERE v = 1 AND k = 1 GROUP BY day, page
UNION ALL
SELECT day, 'exits', page, '', sum(delta)
FROM (
    SELECT day, page, 1 AS delta FROM visits WHERE v = 1 AND k <= $exits
    UNION ALL
    SELECT day, prev, -1 FROM visits WHERE v = 1 AND k BETWEEN 2 AND $exits
)
GROUP BY day, page
UNION ALL
SELECT v.day, 'sources', s.source, s.channel, count(*)
FROM visits AS v
JOIN sources AS s
    ON s.referrer = v.referrer AND s.utm_source = v.utm_source AND s.utm_medium = v.utm_medium
WHERE v.v = 1 AND v.k = 1
GROUP BY v.day, s.source, s.channel
UNION ALL
SELECT day, 'campaigns', campaign, '', count(*)
FROM visits WHERE v = 1 AND k = 1 AND campaign <> '' GROUP BY day, campaign
UNION ALL
SELECT v.day, 'devices', a.device, '', count(*)
FROM visits AS v JOIN agents AS a ON a.agent = v.agent WHERE v.n = 1 GROUP BY v.day, a.device
UNION ALL
SELECT v.day, 'browsers', a.browser, a.system, count(*)
FROM visits AS v JOIN agents AS a ON a.agent = v.agent WHERE v.n = 1 GROUP BY v.day, a.browser, a.system
UNION ALL
SELECT day, 'downloads', page, '', count(*)
FROM firsts WHERE kind = 'download' AND g BETWEEN 1 AND $events GROUP BY day, page
UNION ALL
SELECT day, 'not_found', page, '', count(*)
FROM firsts WHERE kind = 'not-found' AND g BETWEEN 1 AND $events GROUP BY day, page
