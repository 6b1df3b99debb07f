-- Two answers to one question, of which the noise could be averaged away: the same cell in one release, or the same days.
WITH repeated AS (
    SELECT site, period_start, statistic
    FROM cell
    GROUP BY release_id, site, period_start, statistic, metric, key1, key2
    HAVING count(*) > 1
), answers AS (
    SELECT DISTINCT c.release_id, c.site, k.schedule, c.period_start, c.period_start + c.period_days - 1 AS period_end
    FROM cell AS c
    JOIN known AS k ON k.statistic = c.statistic AND k.metric = c.metric
), overlapping AS (
    SELECT
        site,
        period_start,
        schedule,
        period_start <= max(period_end) OVER (
            PARTITION BY site, schedule ORDER BY period_start, release_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS again
    FROM answers
)
SELECT site, period_start, statistic FROM repeated
UNION ALL
SELECT site, period_start, 'a ' || schedule || ' release' FROM overlapping WHERE again
ORDER BY ALL
LIMIT 1
