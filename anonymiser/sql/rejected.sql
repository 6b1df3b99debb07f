-- The first lines that could not be read, with their place and the reason; never their text.
SELECT file, line, problem FROM requests WHERE problem <> '' ORDER BY file, line LIMIT $most
