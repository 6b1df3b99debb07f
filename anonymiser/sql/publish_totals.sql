-- The four totals of each day side by side, as the other views show theirs.
CREATE VIEW totals AS
SELECT
    site,
    period_start,
    period_start + period_days - 1 AS period_end,
    greatest(max(value) FILTER (metric = 'visitors'), 0) AS visitors,
    nullif(round(1.96 * max(sigma) FILTER (metric = 'visitors'), 1), 0) AS visitors_margin,
    greatest(max(value) FILTER (metric = 'views'), 0) AS views,
    nullif(round(1.96 * max(sigma) FILTER (metric = 'views'), 1), 0) AS views_margin,
    greatest(max(value) FILTER (metric = 'visits'), 0) AS visits,
    nullif(round(1.96 * max(sigma) FILTER (metric = 'visits'), 1), 0) AS visits_margin,
    greatest(max(value) FILTER (metric = 'bounces'), 0) AS bounces,
    nullif(round(1.96 * max(sigma) FILTER (metric = 'bounces'), 1), 0) AS bounces_margin
FROM cell
WHERE statistic = 'totals'
GROUP BY site, period_start, period_days
