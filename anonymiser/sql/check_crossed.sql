-- Pairs shown of a period that has a day of the plain set, or a day whose totals are not there: which set a day has is told by
-- the shares its totals were paid at, and these are the first thing that is released of it.
WITH day AS (
    SELECT site, period_start, list_has_any(json_keys(weights), $crossed) AS is_wide
    FROM release
    WHERE period_start = period_end AND release_id IN (SELECT release_id FROM cell WHERE statistic = 'totals')
), shown AS (
    SELECT DISTINCT c.site, c.period_start, c.statistic, d.day
    FROM cell AS c, LATERAL (SELECT unnest(range(c.period_days)) AS day) AS d
    WHERE list_contains($crossed, c.statistic)
)
SELECT s.site, s.period_start, s.statistic, s.period_start + CAST(s.day AS INTEGER) AS day
FROM shown AS s
ANTI JOIN day AS d ON d.site = s.site AND d.period_start = s.period_start + CAST(s.day AS INTEGER) AND d.is_wide
ORDER BY ALL
LIMIT 1
