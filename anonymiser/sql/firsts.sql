-- Downloads and pages not found: which different one of its kind it is for this browser on this day (0: seen already).
WITH dated AS (
    SELECT *, CAST(CAST(local AS DATE) AS VARCHAR) AS day FROM events WHERE kind IN ('download', 'not-found')
), numbered AS (
    SELECT
        day,
        kind,
        page,
        browser,
        row_number() OVER (PARTITION BY day, browser, kind, page ORDER BY ts, file, line) AS nth,
        ts,
        file,
        line
    FROM dated
)
SELECT
    day,
    kind,
    page,
    CASE WHEN nth = 1 THEN
        sum(CASE WHEN nth = 1 THEN 1 ELSE 0 END)
            OVER (PARTITION BY day, browser, kind ORDER BY ts, file, line ROWS UNBOUNDED PRECEDING)
    ELSE 0 END AS g
FROM numbered
