-- The visitors divided by one statistic, for people: no figure is below nought, and they add up to the visitors of the
-- same days, in whole numbers. What the released sum is off by is shared out by the width of the noise (least squares).
-- Figures below nought then become nought, and what that adds is taken, by least squares again, from those that could be
-- noise alone: figures above three sigma stay where they are. The margin is the released figure's. Where no noise is
-- known (policy `threshold`) nothing is moved.
CREATE VIEW "$view" AS
WITH whole AS (
    SELECT p.site, p.period_start, p.period_days, greatest(sum(v.value), 0) AS visitors
    FROM (SELECT DISTINCT site, period_start, period_days FROM cell WHERE statistic = '$statistic') AS p
    JOIN cell AS v ON v.site = p.site AND v.period_start BETWEEN p.period_start AND p.period_start + p.period_days - 1
    WHERE v.statistic = 'totals' AND v.metric = 'visitors'
    GROUP BY p.site, p.period_start, p.period_days
), released AS (
    SELECT c.*, c.sigma * c.sigma AS variance, w.visitors
    FROM cell AS c
    LEFT JOIN whole AS w ON w.site = c.site AND w.period_start = c.period_start AND w.period_days = c.period_days
    WHERE c.statistic = '$statistic'
), shared AS (
    SELECT
        *,
        (sum(value) OVER period - visitors) / nullif(sum(variance) OVER period, 0) AS off,
        value - variance * coalesce(off, 0) AS part,
        part > 3 * sigma AS is_clear
    FROM released
    WINDOW period AS (PARTITION BY site, period_start, period_days)
), aimed AS (
    SELECT
        *,
        coalesce(sum(part) FILTER (is_clear) OVER period, 0) AS clear,
        CASE
            WHEN is_clear THEN least(clear, visitors)
            WHEN visitors > clear THEN visitors - clear
            WHEN visitors <= clear THEN 0
        END AS target
    FROM shared
    WINDOW period AS (PARTITION BY site, period_start, period_days)
), ranked AS (
    SELECT *, (sum(part) OVER surest_first - target) / nullif(sum(variance) OVER surest_first, 0) AS excess
    FROM aimed
    WINDOW surest_first AS (
        PARTITION BY site, period_start, period_days, is_clear
        ORDER BY part / nullif(variance, 0) DESC, key1, key2
        ROWS UNBOUNDED PRECEDING
    )
), cut AS (
    SELECT * REPLACE (greatest(part - variance * coalesce(max(excess) OVER alike, 0), 0) AS part)
    FROM ranked
    WINDOW alike AS (PARTITION BY site, period_start, period_days, is_clear)
), running AS (
    SELECT *, round(sum(part) OVER in_turn) AS upto
    FROM cut
    WINDOW in_turn AS (
        PARTITION BY site, period_start, period_days ORDER BY part DESC, key1, key2 ROWS UNBOUNDED PRECEDING
    )
), shown AS (
    SELECT *, upto - coalesce(lag(upto) OVER in_turn, 0) AS figure
    FROM running
    WINDOW in_turn AS (PARTITION BY site, period_start, period_days ORDER BY part DESC, key1, key2)
)
SELECT
    site,
    period_start,
    period_start + period_days - 1 AS period_end,
    $columns,
    CAST(sum(figure) AS BIGINT) AS visitors,
    nullif(round(1.96 * sqrt(sum(variance)), 1), 0) AS margin
FROM shown
GROUP BY site, period_start, period_days, $keys
