-- Downloads and pages not found: which different one of its kind it is for this browser on this day (0: seen already).
WITH numbered AS (
    SELECT
        day,
        reason AS kind,
        page_id,
        browser,
        row_number() OVER (PARTITION BY day, browser, reason, page_id ORDER BY ts, seq) AS nth,
        ts,
        seq
    FROM events
    WHERE reason IN ('download', 'not-found') AND day BETWEEN $first AND $last
        AND hash(browser) % CAST($parts AS UBIGINT) = CAST($part AS UBIGINT)
)
SELECT
    day,
    kind,
    page_id,
    CASE WHEN nth = 1 THEN
        sum(CASE WHEN nth = 1 THEN 1 ELSE 0 END)
            OVER (PARTITION BY day, browser, kind ORDER BY ts, seq ROWS UNBOUNDED PRECEDING)
    ELSE 0 END AS g
FROM numbered
