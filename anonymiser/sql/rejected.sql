-- The first lines that could not be read, with their place and the reason; never their text.
SELECT file, line, problem FROM requests WHERE verdict = 'rejected' ORDER BY file, line LIMIT $most
