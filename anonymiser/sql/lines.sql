-- Every line of every block with its number, without its carriage return, and what holds for all lines of its block.
WITH blocks_cut AS (
    SELECT * EXCLUDE (block), string_split(block, chr(10)) AS texts FROM blocks
), cut AS (
    SELECT
        * EXCLUDE (first, texts),
        first - 1 + generate_subscripts(texts, 1) AS line,
        unnest(texts) AS text
    FROM blocks_cut
)
SELECT * REPLACE (CASE WHEN ends_with(text, chr(13)) THEN rtrim(text, chr(13)) ELSE text END AS text) FROM cut
