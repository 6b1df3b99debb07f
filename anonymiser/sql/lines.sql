-- Every line of every block with its number, without its carriage return, and what holds for all lines of its block.
WITH cut AS (
    SELECT
        * EXCLUDE (first, block),
        first - 1 + generate_subscripts(string_split(block, chr(10)), 1) AS line,
        unnest(string_split(block, chr(10))) AS text
    FROM blocks
)
SELECT * REPLACE (CASE WHEN ends_with(text, chr(13)) THEN rtrim(text, chr(13)) ELSE text END AS text) FROM cut
