-- The ordinals a browser would have counted itself: view, page and visit of the day, view of the visit, page before it.
WITH timed AS (
    SELECT
        CAST(local AS DATE) AS day,
        CAST(hour(local) AS TINYINT) AS hour,
        browser,
        page_id,
        target_id,
        agent_id,
        referrer_id,
        ts,
        file,
        line,
        row_number() OVER browser_day AS n,
        lag(page_id) OVER browser_day AS page_before,
        coalesce(ts - lag(ts) OVER browser_day > to_minutes($idle_minutes), TRUE) AS begins
    FROM events
    WHERE reason = ''
    WINDOW browser_day AS (PARTITION BY CAST(local AS DATE), browser ORDER BY ts, file, line)
), visited AS (
    SELECT
        *,
        sum(CAST(begins AS INTEGER)) OVER so_far AS v,
        max(CASE WHEN begins THEN n END) OVER so_far AS begun,
        row_number() OVER (PARTITION BY day, browser, page_id ORDER BY n) AS nth
    FROM timed
    WINDOW so_far AS (PARTITION BY day, browser ORDER BY n ROWS UNBOUNDED PRECEDING)
)
SELECT
    day,
    hour,
    page_id,
    target_id,
    agent_id,
    referrer_id,
    n,
    v,
    n - begun + 1 AS k,
    CASE WHEN begins THEN NULL ELSE page_before END AS prev,
    CASE
        WHEN nth = 1
        THEN sum(CAST(nth = 1 AS INTEGER)) OVER (PARTITION BY day, browser ORDER BY n ROWS UNBOUNDED PRECEDING)
        ELSE 0
    END AS p
FROM visited
