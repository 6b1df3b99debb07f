-- Every text of the file that another check does not hold to a list or to hexadecimal digits.
SELECT DISTINCT 'a key of ' || statistic AS what, key1 AS first, key2 AS second FROM cell
UNION ALL
SELECT DISTINCT 'the name of a site', site, '' FROM release
ORDER BY ALL
