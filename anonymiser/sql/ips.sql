-- A number for each address; it lives as long as this run's memory.
SELECT ip, row_number() OVER () AS ip_id, FALSE AS excluded FROM (SELECT DISTINCT ip FROM requests WHERE verdict IS NULL)
