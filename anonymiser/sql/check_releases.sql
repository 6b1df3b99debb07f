-- Releases that claim what no release of ours can: an unknown policy or price, days the wrong way round, free text.
SELECT site, period_start
FROM release
WHERE policy NOT IN ('dp', 'threshold')
    OR NOT (epsilon > 0 AND epsilon <= 20 AND delta > 0 AND delta <= 0.001 AND k BETWEEN 2 AND 10000)
    OR period_end < period_start
    OR released_at <= CAST(period_end AS TIMESTAMP)
    OR NOT regexp_full_match(site, '[A-Za-z0-9.-]{1,64}')
    OR NOT regexp_full_match(release_id, '[0-9a-f]{16}')
    OR NOT regexp_full_match(catalogue_sha256, '([0-9a-f]{64})?')
    OR NOT regexp_full_match(software, '[a-z-]{1,32} [0-9a-z.+]{1,32}')
    OR release_id IN (SELECT release_id FROM release GROUP BY release_id HAVING count(*) > 1)
ORDER BY ALL
LIMIT 1
