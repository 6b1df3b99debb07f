-- The page views of some days, or of some browsers of a day, with what a visit is made of.
SELECT seq, ts, day, hour, browser, page_id, target_id, agent_id, referrer_id
FROM events
WHERE reason = '' AND day BETWEEN $first AND $last AND hash(browser) % CAST($parts AS UBIGINT) = CAST($part AS UBIGINT)
