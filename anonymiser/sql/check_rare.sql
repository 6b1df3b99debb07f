-- Keys nobody declared (they carry sqrt(2) times the noise) whose count a single browser could have reached.
SELECT site, period_start, statistic
FROM width
WHERE open
    AND key1 <> $other
    AND sigma >= sqrt(2) * needed * (1 - $tolerance)
    AND value <= (most + sqrt(2) * needed * sqrt(2 * ln(1 / key_delta))) * (1 - $tolerance)
ORDER BY ALL
LIMIT 1
