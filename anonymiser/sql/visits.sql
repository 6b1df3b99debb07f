-- The ordinals a browser would have counted itself: view, page and visit of the day, view of the visit, page before it.
-- `opened` is the visit's first view, its place in the day and its request's number in one: one sum over the rows less.
WITH timed AS (
    SELECT
        seq,
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
        max(CASE WHEN begins THEN n * 4294967296 + seq END) OVER so_far AS opened,
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
    n - (opened >> 32) + 1 AS k,
    opened & 4294967295 AS first_seq,
    CASE WHEN begins THEN NULL ELSE page_before END AS prev,
    CASE WHEN is_new THEN pages ELSE 0 END AS p
FROM visited
