-- At least this many natural logarithms of "one in ..." it is that so many of the cells are near, each with this chance or
-- less (Hoeffding 1963, theorem 1; it holds for chances that differ, by their mean). Nought where they are no more than expected.
CREATE TEMP MACRO surprise(near, cells, chance) AS CASE
    WHEN near <= cells * chance THEN 0
    WHEN near = cells THEN -cells * ln(chance)
    ELSE near * ln(near / (cells * chance)) + (cells - near) * ln((cells - near) / (cells * (1 - chance)))
END
