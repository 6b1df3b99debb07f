-- Releases that tell other noise or other bounds than their cells carry, or a price that this noise was not drawn for.
WITH drawn AS (
    SELECT release_id, site, period_start, name, min(sigma / times) AS sigma, any_value(needed / times) AS needed
    FROM width
    GROUP BY ALL
), told AS (
    SELECT d.*, k.l2, k.linf, k.keys_touched, k.fold, json_extract(r.bounds, '$.' || d.name) AS bounds
    FROM drawn AS d
    JOIN release AS r ON r.release_id = d.release_id
    JOIN known AS k ON k.name = d.name
)
SELECT site, period_start, name
FROM told
WHERE coalesce(
    abs(CAST(bounds ->> 'sigma' AS DOUBLE) / sigma - 1) > $tolerance
    OR abs(sigma / needed - 1) > $tolerance
    OR abs(CAST(bounds ->> 'l2' AS DOUBLE) - l2) > $tolerance
    OR abs(CAST(bounds ->> 'fold' AS DOUBLE) - fold) > $tolerance
    OR CAST(bounds ->> 'linf' AS DOUBLE) <> linf
    OR CAST(bounds ->> 'keys_touched' AS DOUBLE) <> keys_touched,
    TRUE
)
ORDER BY ALL
LIMIT 1
