-- Each noisy cell beside the noise it needs: wider where many texts may meet in one cell (bounds.Statistic), and wider
-- still where nobody declared the key, which is not `plain`.
CREATE TEMP TABLE width AS
SELECT
    c.release_id,
    c.site,
    c.period_start,
    c.period_days,
    c.statistic,
    c.metric,
    c.key1,
    c.key2,
    c.value,
    c.sigma,
    k.name,
    k.schedule,
    k.open,
    k.l2,
    k.is_part,
    s.key_delta,
    CASE WHEN coalesce(f.key, f2.key) IS NOT NULL AND k.fold > 1 THEN k.keys_touched ELSE k.linf END AS most,
    CASE WHEN c.key1 = $other THEN sqrt(2) * k.fold WHEN coalesce(f.key, f2.key) IS NOT NULL THEN k.fold ELSE 1 END AS times,
    times * s.sigma AS needed,
    NOT (k.open AND c.key1 <> $other AND c.sigma >= sqrt(2) * needed * (1 - $tolerance)) AS plain
FROM cell AS c
JOIN release AS r ON r.release_id = c.release_id AND r.policy = 'dp'
JOIN known AS k ON k.statistic = c.statistic AND k.metric = c.metric
JOIN share AS s ON s.weights = r.weights AND s.epsilon = r.epsilon AND s.delta = r.delta AND s.name = k.name
LEFT JOIN folded AS f ON f.key = c.key1
LEFT JOIN folded AS f2 ON f2.key = c.key2
