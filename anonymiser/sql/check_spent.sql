-- Days on which all that was released of a browser-day costs more than its releases claim, whatever shares they name.
WITH statistic AS (
    SELECT release_id, site, period_start, period_days, schedule, name, l2 * l2 / (2 * min(sigma / times) ** 2) AS rho
    FROM width
    GROUP BY release_id, site, period_start, period_days, schedule, name, l2
), answer AS (
    SELECT s.site, s.schedule, s.period_start, s.period_start + s.period_days - 1 AS period_end, sum(s.rho) AS rho,
        any_value(c.rho) AS claimed
    FROM statistic AS s
    JOIN release AS r ON r.release_id = s.release_id
    JOIN (SELECT DISTINCT epsilon, delta, rho FROM share) AS c ON c.epsilon = r.epsilon AND c.delta = r.delta
    GROUP BY s.release_id, s.site, s.schedule, s.period_start, s.period_days
), browser_day AS (
    SELECT site, period_start, rho, claimed FROM answer
    UNION ALL
    SELECT d.site, d.period_start, d.rho + b.rho, greatest(d.claimed, b.claimed)
    FROM answer AS d
    JOIN answer AS b ON b.site = d.site AND d.period_start BETWEEN b.period_start AND b.period_end
    WHERE d.schedule = 'daily' AND b.schedule = 'breakdown'
)
SELECT site, period_start, rho / claimed
FROM browser_day
WHERE rho > claimed * (1 + $tolerance)
ORDER BY rho / claimed DESC, site, period_start
LIMIT 1
