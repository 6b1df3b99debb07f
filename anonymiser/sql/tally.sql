-- How many requests were page views ("") and how many were left out for which reason.
SELECT reason, count(*) AS lines FROM events GROUP BY reason
