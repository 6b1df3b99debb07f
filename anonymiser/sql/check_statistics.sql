-- Cells of no known statistic, daily ones of more than a day, and those whose release gives them no share of its budget.
SELECT c.site, c.period_start, c.statistic, c.metric
FROM cell AS c
JOIN release AS r ON r.release_id = c.release_id
LEFT JOIN known AS k ON k.statistic = c.statistic AND k.metric = c.metric
LEFT JOIN share AS s ON s.weights = r.weights AND s.epsilon = r.epsilon AND s.delta = r.delta AND s.name = k.name
WHERE k.name IS NULL OR (k.schedule = 'daily' AND c.period_days <> 1) OR (r.policy = 'dp' AND s.sigma IS NULL)
ORDER BY ALL
LIMIT 1
