-- One statistic for people: never below nought, and what 95 of 100 errors stay within (NULL where no noise is known).
CREATE VIEW "$view" AS
SELECT
    site,
    period_start,
    period_start + period_days - 1 AS period_end,
    $columns,
    CAST(greatest(sum(value), 0) AS BIGINT) AS visitors,
    nullif(round(1.96 * sqrt(sum(sigma * sigma)), 1), 0) AS margin
FROM cell
WHERE statistic = '$statistic'
GROUP BY site, period_start, period_days, $keys
