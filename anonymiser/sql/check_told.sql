-- Noise that a release tells its readers of, and that its cells do not carry.
SELECT w.site, w.period_start, w.name
FROM (SELECT release_id, site, period_start, name, min(sigma / times) AS sigma FROM width GROUP BY ALL) AS w
JOIN release AS r ON r.release_id = w.release_id
WHERE coalesce(abs(CAST(json_extract(r.bounds, '$.' || w.name || '.sigma') AS DOUBLE) / w.sigma - 1) > $tolerance, TRUE)
ORDER BY ALL
LIMIT 1
