-- Each line once: how many were page views, and how many were left out for which reason.
SELECT CASE WHEN kind IN ('directive', 'blank', 'rejected', 'method', 'asset', 'health') THEN kind
            ELSE coalesce(stranger, kind, '') END AS reason, count(*) AS lines
FROM verdicts
GROUP BY reason
