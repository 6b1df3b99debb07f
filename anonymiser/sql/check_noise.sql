-- The cell with the least noise for what its release claims.
SELECT site, period_start, statistic || CASE WHEN statistic = 'totals' THEN '.' || metric ELSE '' END, sigma, needed
FROM width
WHERE NOT (sigma >= needed * (1 - $tolerance) AND sigma < 'infinity')
ORDER BY sigma / needed, site, period_start, statistic
LIMIT 1
