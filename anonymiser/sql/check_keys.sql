-- Keys outside the closed list of their statistic or of that half of a pair, and keys with the noise of declared ones that another release under the
-- same catalogue does not show: declared keys are always shown, so it was chosen because it was seen.
WITH answers AS (
    SELECT DISTINCT w.release_id, w.site, w.period_start, w.statistic, r.catalogue_sha256
    FROM width AS w
    JOIN release AS r ON r.release_id = w.release_id
    WHERE w.open
), declared AS (
    SELECT DISTINCT r.site, r.catalogue_sha256, w.statistic, w.key1, w.key2
    FROM width AS w
    JOIN release AS r ON r.release_id = w.release_id
    WHERE w.open AND w.plain AND w.key1 <> $other
)
SELECT c.site, c.period_start, c.statistic
FROM cell AS c
SEMI JOIN listed AS of ON of.statistic = c.statistic
ANTI JOIN listed AS l ON l.statistic = c.statistic AND l.key1 = c.key1 AND l.key2 = c.key2
UNION ALL
SELECT c.site, c.period_start, c.statistic
FROM cell AS c
JOIN (SELECT DISTINCT statistic, place FROM halves) AS of ON of.statistic = c.statistic
ANTI JOIN halves AS h
    ON h.statistic = c.statistic AND h.place = of.place AND h.key = CASE of.place WHEN 1 THEN c.key1 ELSE c.key2 END
WHERE c.key1 <> $other
UNION ALL
SELECT a.site, a.period_start, a.statistic
FROM answers AS a
JOIN declared AS d USING (site, catalogue_sha256, statistic)
ANTI JOIN width AS w
    ON w.plain AND w.release_id = a.release_id AND w.statistic = a.statistic AND w.key1 = d.key1 AND w.key2 = d.key2
ORDER BY ALL
LIMIT 1
