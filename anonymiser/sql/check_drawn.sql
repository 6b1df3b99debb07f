-- Statistics whose numbers lie nearer to nought, or to the period before, than noise of the width they claim would let them.
-- Whatever the count, such noise leads to one given number with a chance of at most 1 / (sigma sqrt(2 pi)). Keys that had to
-- pass a threshold are left out: their noise was chosen.
WITH numbered AS (
    SELECT
        site,
        name,
        value,
        sigma,
        row_number() OVER by_time AS place,
        lag(value) OVER by_time AS before,
        lag(sigma) OVER by_time AS sigma_before
    FROM width
    WHERE key1 <> $other AND plain
    WINDOW by_time AS (PARTITION BY site, name, key1, key2 ORDER BY period_start)
), distances AS (
    SELECT site, name, 'nought' AS target, abs(value) AS distance, sigma FROM numbered
    UNION ALL
    SELECT site, name, 'the period before', abs(value - before), sqrt(sigma * sigma + sigma_before * sigma_before)
    FROM numbered
    WHERE place % 2 = 0
), judged AS (
    SELECT
        site,
        name,
        target,
        count(*) AS cells,
        count(*) FILTER (distance <= floor(sigma / 2)) AS near,
        avg((2 * floor(sigma / 2) + 1) / (sigma * sqrt(2 * pi()))) AS chance
    FROM distances
    WHERE sigma BETWEEN 2 AND 1e9
    GROUP BY ALL
)
SELECT site, name, near, cells, target, cells * chance
FROM judged
WHERE surprise(near, cells, chance) > ln((SELECT count(*) FROM judged) / $false_alarm)
ORDER BY surprise(near, cells, chance) DESC, site, name
LIMIT 1
