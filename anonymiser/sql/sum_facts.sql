-- Facts of the spool, added up to the same counts as a log gives.
SELECT day, statistic, key1, key2, sum(delta) AS total FROM facts GROUP BY day, statistic, key1, key2
