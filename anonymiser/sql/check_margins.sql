-- Sums of parts that meet the visitors they are parts of exactly, more often than chance lets independent noise do.
WITH parts AS (
    SELECT w.site, w.name, w.period_start, w.period_days, sum(w.value) AS value, sqrt(sum(w.sigma * w.sigma)) AS sigma
    FROM width AS w
    WHERE w.is_part
    GROUP BY w.release_id, w.site, w.name, w.period_start, w.period_days
), held AS (
    SELECT p.site, p.name, any_value(p.value) = sum(v.value) AS exact, any_value(p.sigma) AS sigma
    FROM parts AS p
    JOIN width AS v
        ON v.name = 'visitors' AND v.site = p.site AND v.period_start BETWEEN p.period_start AND p.period_start + p.period_days - 1
    GROUP BY p.site, p.name, p.period_start, p.period_days
), judged AS (
    SELECT
        site,
        coalesce(name, 'all statistics together') AS name,
        count(*) AS sums,
        count(*) FILTER (exact) AS exact,
        avg(1 / (sigma * sqrt(2 * pi()))) AS chance
    FROM held
    WHERE sigma BETWEEN 2 AND 1e9
    GROUP BY GROUPING SETS ((site, name), (site))
)
SELECT site, name, exact, sums
FROM judged
WHERE surprise(exact, sums, chance) > ln((SELECT count(*) FROM judged) / $false_alarm)
ORDER BY surprise(exact, sums, chance) DESC, site, name
LIMIT 1
