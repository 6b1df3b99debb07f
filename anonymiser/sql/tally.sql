-- Each line once: how many were page views, and how many were left out for which reason.
SELECT verdict AS reason, count(*) AS lines FROM requests WHERE verdict IS NOT NULL GROUP BY verdict
UNION ALL
SELECT reason, count(*) FROM events GROUP BY reason
