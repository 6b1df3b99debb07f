-- The ordinals a browser would have counted itself: view, page and visit of the day, view of the visit, page before it.
WITH timed AS (
    SELECT
        day,
        hour,
        browser,
        page_id,
        target_id,
        agent_id,
        referrer_id,
        row_number() OVER browser_day AS n,
        lag(page_id) OVER browser_day AS page_before,
        coalesce(ts - lag(ts) OVER browser_day > to_minutes($idle_minutes), TRUE) AS begins,
        row_number() OVER (PARTITION BY day, browser, page_id ORDER BY ts, seq) = 1 AS is_new
    FROM events
    WHERE reason = '' AND day BETWEEN $first AND $last
    WINDOW browser_day AS (PARTITION BY day, browser ORDER BY ts, seq)
), visited AS (
    SELECT
        *,
        sum(CAST(begins AS INTEGER)) OVER so_far AS v,
        max(CASE WHEN begins THEN n END) OVER so_far AS begun,
        sum(CAST(is_new AS INTEGER)) OVER so_far AS pages
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
    CASE WHEN is_new THEN pages ELSE 0 END AS p
FROM visited
