-- Cells that belong to no release of their site and days.
SELECT c.site, c.period_start, c.statistic
FROM cell AS c
ANTI JOIN release AS r
    ON r.release_id = c.release_id
    AND r.site = c.site
    AND r.period_start = c.period_start
    AND r.period_end = c.period_start + c.period_days - 1
ORDER BY ALL
LIMIT 1
