-- Counts under the threshold policy that are too small or not rounded; one that says it has noise has none.
SELECT c.site, c.period_start, c.statistic
FROM cell AS c
JOIN release AS r ON r.release_id = c.release_id AND r.policy = 'threshold'
WHERE c.sigma <> 0 OR c.value % $rounding <> 0 OR (c.value <> 0 AND c.value < r.k)
ORDER BY ALL
LIMIT 1
