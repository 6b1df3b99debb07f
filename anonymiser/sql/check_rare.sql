-- Keys nobody declared whose count a single browser could have reached.
SELECT site, period_start, statistic
FROM width
WHERE NOT plain
    AND value <= (most + sqrt(2) * needed * sqrt(2 * ln(1 / key_delta))) * (1 - $tolerance)
ORDER BY ALL
LIMIT 1
