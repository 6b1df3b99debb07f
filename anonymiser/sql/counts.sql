-- Every statistic a log can know, bounded as in bounds.py: the same sums as facts.shred on the same views. And, for the
-- account of the lines only, each day's page views.
WITH by_page AS (
    SELECT day, 'pages' AS statistic, page_id, count(*) AS total
    FROM visits WHERE p BETWEEN 1 AND $pages GROUP BY day, page_id
    UNION ALL
    SELECT day, 'entries', page_id, count(*) FROM visits WHERE v = 1 AND k = 1 GROUP BY day, page_id
    UNION ALL
    SELECT day, 'exits', page_id, sum(delta)
    FROM (
        SELECT day, page_id, 1 AS delta FROM visits WHERE v = 1 AND k <= $exits
        UNION ALL
        SELECT day, prev, -1 FROM visits WHERE v = 1 AND k BETWEEN 2 AND $exits
    )
    GROUP BY day, page_id
    UNION ALL
    SELECT day, CASE kind WHEN 'download' THEN 'downloads' ELSE 'not_found' END, page_id, count(*)
    FROM firsts WHERE g BETWEEN 1 AND $events GROUP BY day, kind, page_id
), cells AS (
    SELECT day, '(page views)' AS statistic, '' AS key1, '' AS key2, count(*) AS total FROM visits GROUP BY day
    UNION ALL
    SELECT day, 'visitors', '', '', count(*) FROM visits WHERE n = 1 GROUP BY day
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
    SELECT day, statistic, page, '', sum(total)
    FROM by_page JOIN pages ON pages.page_id = by_page.page_id GROUP BY day, statistic, page
    UNION ALL
    SELECT v.day, 'sources', s.source, s.channel, count(*)
    FROM visits AS v
    JOIN targets AS t ON t.target_id = v.target_id
    JOIN sources AS s
        ON s.referrer_id = v.referrer_id AND s.utm_source = t.utm_source AND s.utm_medium = t.utm_medium
    WHERE v.v = 1 AND v.k = 1
    GROUP BY v.day, s.source, s.channel
    UNION ALL
    SELECT v.day, 'campaigns', t.campaign, '', count(*)
    FROM visits AS v JOIN targets AS t ON t.target_id = v.target_id
    WHERE v.v = 1 AND v.k = 1 AND t.campaign <> '' GROUP BY v.day, t.campaign
    UNION ALL
    SELECT v.day, 'devices', a.device, '', count(*)
    FROM visits AS v JOIN agents AS a ON a.agent_id = v.agent_id WHERE v.n = 1 GROUP BY v.day, a.device
    UNION ALL
    SELECT v.day, 'browsers', a.browser, a.system, count(*)
    FROM visits AS v JOIN agents AS a ON a.agent_id = v.agent_id WHERE v.n = 1 GROUP BY v.day, a.browser, a.system
)
SELECT CAST(day AS VARCHAR) AS day, statistic, key1, key2, total FROM cells
