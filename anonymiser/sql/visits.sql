-- The ordinals a browser would have counted itself: view, page and visit of the day, view of the visit, page before it.
WITH dated AS (
    SELECT *, CAST(local AS DATE) AS day, hour(local) AS hour FROM events WHERE kind IS NULL
), timed AS (
    SELECT
        *,
        row_number() OVER (browser_day ORDER BY ts, file, line) AS n,
        row_number() OVER (browser_page ORDER BY ts, file, line) AS nth,
        lag(ts) OVER (browser_day ORDER BY ts, file, line) AS before
    FROM dated
    WINDOW browser_day AS (PARTITION BY day, browser), browser_page AS (PARTITION BY day, browser, page)
), numbered AS (
    SELECT
        *,
        sum(CASE WHEN before IS NULL OR ts - before > to_minutes($idle_minutes) THEN 1 ELSE 0 END)
            OVER (browser_day ORDER BY ts, file, line ROWS UNBOUNDED PRECEDING) AS v,
        sum(CASE WHEN nth = 1 THEN 1 ELSE 0 END)
            OVER (browser_day ORDER BY ts, file, line ROWS UNBOUNDED PRECEDING) AS seen
    FROM timed
    WINDOW browser_day AS (PARTITION BY day, browser)
)
SELECT
    CAST(day AS VARCHAR) AS day,
    hour,
    page,
    campaign,
    agent,
    referrer,
    utm_source,
    utm_medium,
    n,
    v,
    CASE WHEN nth = 1 THEN seen ELSE 0 END AS p,
    row_number() OVER (visit ORDER BY ts, file, line) AS k,
    lag(page) OVER (visit ORDER BY ts, file, line) AS prev
FROM numbered
WINDOW visit AS (PARTITION BY day, browser, v)
