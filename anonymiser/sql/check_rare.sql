-- Keys nobody declared whose count a single browser could have reached, or that the cut should have kept away.
WITH thresholds AS (
    SELECT *, most + sqrt(2) * needed * sqrt(2 * ln(1 / key_delta)) AS above_the_cut FROM width WHERE NOT plain
)
SELECT site, period_start, statistic
FROM thresholds
WHERE value <= (floor(above_the_cut * $cut) + above_the_cut) * (1 - $tolerance)
ORDER BY ALL
LIMIT 1
