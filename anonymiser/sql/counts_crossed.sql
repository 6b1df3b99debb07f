-- The two-dimensional statistics a log can know: a new page of the day by its visit's source, and by the device.
WITH new_pages AS (
    SELECT v.day, v.page_id, v.agent_id, e.target_id, e.referrer_id, count(*) AS total
    FROM visits AS v
    JOIN events AS e ON e.seq = v.first_seq
    WHERE v.p BETWEEN 1 AND $pages
    GROUP BY v.day, v.page_id, v.agent_id, e.target_id, e.referrer_id
), pairs AS (
    SELECT
        n.day,
        'page_sources' AS statistic,
        n.page_id,
        s.source_group AS key2,
        n.total
    FROM new_pages AS n
    JOIN targets AS t ON t.target_id = n.target_id
    JOIN sources AS s
        ON s.referrer_id = n.referrer_id AND s.utm_source = t.utm_source AND s.utm_medium = t.utm_medium
    UNION ALL
    SELECT n.day, 'page_devices', n.page_id, a.device, n.total
    FROM new_pages AS n JOIN agents AS a ON a.agent_id = n.agent_id
)
SELECT CAST(p.day AS VARCHAR) AS day, p.statistic, pages.page AS key1, p.key2, sum(p.total) AS total
FROM pairs AS p JOIN pages ON pages.page_id = p.page_id
GROUP BY p.day, p.statistic, pages.page, p.key2
