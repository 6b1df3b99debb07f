-- Downloads and pages not found: which different one of its kind it is for this browser on this day (0: seen already).
WITH numbered AS (
    SELECT
        CAST(local AS DATE) AS day,
        reason AS kind,
        page_id,
        browser,
        row_number() OVER (PARTITION BY CAST(local AS DATE), browser, reason, page_id ORDER BY ts, file, line) AS nth,
        ts,
        file,
        line
    FROM events
    WHERE reason IN ('download', 'not-found')
)
SELECT
    day,
    kind,
    page_id,
    CASE WHEN nth = 1 THEN
        sum(CASE WHEN nth = 1 THEN 1 ELSE 0 END)
            OVER (PARTITION BY day, browser, kind ORDER BY ts, file, line ROWS UNBOUNDED PRECEDING)
    ELSE 0 END AS g
FROM numbered
